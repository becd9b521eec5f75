variable "name" {
  description = "The function's folder in `functions/`. In AWS it is `holdfast-<name>`."
  type        = string
}

variable "does" {
  description = "What it does, in a sentence for the console."
  type        = string
}

variable "region" {
  description = "Where it runs. Roles are global, so their names have the Region."
  type        = string
}

variable "account" {
  description = "The account that everything is in."
  type        = string
}

variable "zips" {
  description = "The directory with `<name>.zip`, as `make lambdas` leaves it."
  type        = string
}

variable "architecture" {
  description = "`arm64`, which is the cheaper one, or `x86_64`; as the zips were built."
  type        = string
}

variable "holdfast_config" {
  description = "What `HOLDFAST_CONFIG` holds: the same text for every function in every Region."
  type        = string
}

variable "timeout_seconds" {
  description = "When Lambda ends a run."
  type        = number
}

variable "memory_mb" {
  description = "Memory; a CPU comes with each 1,769 MB."
  type        = number
}

variable "scratch_mb" {
  description = "Room in /tmp."
  type        = number
  default     = 512
}

variable "runs_at_once" {
  description = "Reserved concurrency: so many runs are kept free for it, and more are throttled and come later."
  type        = number
}

variable "schedule" {
  description = "When it runs by itself; null where nothing but events starts it."
  type        = string
  default     = null
}

variable "schedule_sleeps" {
  description = "The schedule is there and does nothing: the other Region's does this work. Waking it is one click or one line."
  type        = bool
  default     = false
}

variable "silent_after_minutes" {
  description = "A person is told when it has not run for so long; null where no schedule promises a run."
  type        = number
  default     = null
}

variable "rules" {
  description = "Event patterns that start it, each with the bus that it is on."
  type        = map(object({ bus = string, pattern = string }))
  default     = {}
}

variable "event_age_max_seconds" {
  description = "An event that could not be handled for so long goes to the dead-letter queue."
  type        = number
  default     = 21600
}

variable "may" {
  description = "What it calls, on what, and under which conditions (operator, key, values)."
  type = list(object({
    actions   = list(string)
    resources = list(string)
    when      = optional(map(map(list(string))), {})
  }))
}

variable "never" {
  description = "What is denied to it whatever else is allowed."
  type = list(object({
    actions   = list(string)
    resources = list(string)
    when      = optional(map(map(list(string))), {})
  }))
  default = []
}

variable "network" {
  description = "Subnets and security groups where it reaches PostgreSQL; null elsewhere."
  type        = object({ subnet_ids = list(string), security_group_ids = list(string) })
  default     = null
}

variable "page_topic_arn" {
  description = "The topic that reaches people from this Region. Its alarms go there directly, not through page-humans."
  type        = string
}

variable "log_retention_days" {
  description = "How long its log is kept."
  type        = number
}
