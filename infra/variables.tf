# The knobs beside the configuration file. What the functions must know is in that file; what only AWS must know is here.

variable "config_file" {
  description = "The configuration that the functions read, as JSON. `events/config.example.json` has every field."
  type        = string
}

variable "zips" {
  description = "The directory with a zip for each function, flat: `observe-region.zip` and so on."
  type        = string
}

variable "architecture" {
  description = "What the zips were built for: `arm64`, the cheaper one, or `x86_64`."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "Lambda knows `arm64` and `x86_64`."
  }
}

variable "people" {
  description = "Who is paged, by SNS protocol: `{ email = [\"oncall@example.com\"], sms = [\"+353…\"] }`. The same in all three Regions."
  type        = map(list(string))
}

variable "rehearse_pages" {
  description = "When everybody is paged as a rehearsal (UTC); null: never. Somebody should be at work then: how long people take to acknowledge it is measured."
  type        = string
  default     = "cron(0 10 ? * TUE *)"
}

variable "service_domain" {
  description = "The name that customers use. Each Region's own name is `<Region>.<service_domain>`."
  type        = string
}

variable "hosted_zone" {
  description = "The public Route 53 zone that has the service's name."
  type        = string
}

variable "service_image" {
  description = "The payments service's container image for arm64; it listens on 8080 and answers `/healthz` without asking the database."
  type        = string
}

variable "service_tasks" {
  description = "Tasks that carry one Region's load on an ordinary day. Twice as many always run, because each Region must carry both."
  type        = number
  default     = 3
}

variable "ledger_engine_version" {
  description = "Aurora PostgreSQL's version for the first apply. Later ones are raised by hand, all members together."
  type        = string
  default     = "16.6"
}

variable "ledger_instance_class" {
  description = "The size of every instance of the ledger, in both Regions: whoever is promoted must carry the writes."
  type        = string
  default     = "db.r6g.large"
}

variable "ledger_instances" {
  description = "Instances of each cluster. One is enough to be promoted; two survive the loss of a zone."
  type        = number
  default     = 2

  validation {
    condition     = var.ledger_instances >= 1
    error_message = "A cluster without instances cannot be promoted."
  }
}

variable "ledger_master_password" {
  description = "The owner's password when the ledger is made. It is in no state; the functions never use it."
  type        = string
  ephemeral   = true
  sensitive   = true
  default     = null
}

variable "backup_retention_days" {
  description = "How long Aurora keeps what a cluster can be restored to."
  type        = number
  default     = 14
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 365
}

variable "network_cidrs" {
  description = "The address range of each data Region's network, by Region, /20 or larger and apart from each other. Empty: 10.20.0.0/16 and 10.21.0.0/16."
  type        = map(string)
  default     = {}
}

variable "left_out" {
  description = <<-EOT
    What is not made, because somebody else has made it already or because an emulator lacks it:
    `ledger` (the Aurora global cluster), `attempts` (the payments team's table), `service` (load balancer and Fargate),
    `routing` (health checks and DNS), and `global_tables`, which makes tables that know nothing of each other, for an
    emulator that has none: never in an account, for then both Regions could promote.
  EOT
  type        = set(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.left_out, ["ledger", "attempts", "service", "routing", "global_tables"])) == 0
    error_message = "`left_out` knows ledger, attempts, service, routing and global_tables."
  }

  validation {
    # The Terraform makes a global database and no other ledger; a cluster that is to be restored must not be there yet.
    condition     = contains(var.left_out, "ledger") || try(jsondecode(file(var.config_file)).topology.ledger_strategy, "global_database") == "global_database"
    error_message = "With another `topology.ledger_strategy` than `global_database` the ledger is yours: name `ledger` in `left_out`."
  }
}

variable "tables_deletable" {
  description = "Set for an uninstallation, and applied before it: then the tables go with everything else."
  type        = bool
  default     = false
}

variable "incidents" {
  description = <<-EOT
    `read`: every plan reads the record of incidents from the coordination table, and refuses while somebody has frozen
    Holdfast. `none-yet`: for the first apply alone, when there is no table to read.
  EOT
  type        = string
  default     = "read"

  validation {
    condition     = contains(["read", "none-yet"], var.incidents)
    error_message = "`incidents` is `read`, or `none-yet` for the first apply."
  }
}
