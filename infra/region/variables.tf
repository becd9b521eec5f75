# Both data Regions are given the same values; what differs between them is looked up by the name of the Region.

variable "holdfast" {
  description = "The configuration file, decoded: topology and policy."
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
    service_domain     = string
    service_image      = string
    service_tasks      = number
    rehearse_pages     = string
    network_cidrs      = map(string)
    left_out           = set(string)
    people             = map(list(string))
  })
}
