# What is one thing over both data Regions, and so belongs to neither.

variable "holdfast" {
  description = "The configuration file, decoded."
  type        = any
}

variable "platform" {
  description = "What the operators set beside the configuration file (see the root's `platform`)."
  type = object({
    service_domain        = string
    hosted_zone           = string
    ledger_instance_class = string
    ledger_instances      = number
    ledger_engine_version = string
    backup_retention_days = number
    network_cidrs         = map(string)
    left_out              = set(string)
    first_apply           = bool
    tables_deletable      = bool
  })
}

variable "ledger_master_password" {
  description = "Needed when the ledger's first cluster is made, and never stored by Terraform."
  type        = string
  ephemeral   = true
  default     = null
}

variable "first" {
  description = "What the first data Region has made for these: network, receipts, switch, front door."
  type        = any
}

variable "second" {
  description = "The same of the second."
  type        = any
}

variable "promoters" {
  description = "promote-aurora's alias in each data Region, by Region."
  type        = map(object({ live_arn = string }))
}

data "aws_caller_identity" "this" {
  provider = aws.first
}

locals {
  topology      = var.holdfast.topology
  account       = data.aws_caller_identity.this.account_id
  first         = local.topology.data_regions[0]
  second        = local.topology.data_regions[1]
  three_regions = [local.first.region, local.second.region, local.topology.witness.region]
}
