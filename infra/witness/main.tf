# The third Region: it holds no service and no data but a replica of the coordination table. It watches, and it tells people.

variable "holdfast" {
  description = "The configuration file, decoded."
  type        = any
}

variable "holdfast_config" {
  description = "What every function reads as `HOLDFAST_CONFIG`."
  type        = string
}

variable "platform" {
  description = "What the operators set beside the configuration file (see the root's `platform`)."
  type = object({
    zips               = string
    architecture       = string
    log_retention_days = number
    people             = map(list(string))
  })
}

data "aws_region" "here" {}

data "aws_caller_identity" "this" {}

locals {
  topology = var.holdfast.topology
  account  = data.aws_caller_identity.this.account_id
  region   = data.aws_region.here.name

  # Every secret that `paging` names: the same name in each Region, fetched from its own.
  pager_secrets = distinct(concat(
    [for it in try(var.holdfast.paging.channels, []) : it.secret],
    [for it in [try(var.holdfast.paging.pagerduty_webhook_secret, null)] : it if it != null],
  ))

  here = {
    coordination = "arn:aws:dynamodb:${local.region}:${local.account}:table/${local.topology.coordination_table}"
    bus          = "arn:aws:events:${local.region}:${local.account}:event-bus/${local.topology.event_bus}"
    topic        = local.topology.witness.page_topic_arn
    secrets      = [for name in local.pager_secrets : "arn:aws:secretsmanager:${local.region}:${local.account}:secret:${name}-??????"]
  }
  # Both data Regions: seen from here either is a peer.
  peer = {
    buses  = [for it in local.topology.data_regions : "arn:aws:events:${it.region}:${local.account}:event-bus/${local.topology.event_bus}"]
    topics = [for it in local.topology.data_regions : it.page_topic_arn]
  }
}
