# Probes both data Regions from this one and votes.

module "observe_region" {
  source = "../function"

  name                 = "observe-region"
  does                 = "Probes both data Regions every 5 s and votes; raises RegionSuspected by quorum"
  timeout_seconds      = 75
  memory_mb            = 256
  runs_at_once         = 3 # A run takes a minute and the next begins before it ends; the third is one by hand.
  schedule             = "rate(1 minute)"
  silent_after_minutes = 3

  # A vote is about this moment: one of five minutes ago is stale, and nobody is helped by it.
  event_age_max_seconds = 60

  may = [
    {
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"]
      resources = [local.here.coordination]
    },
    {
      # RegionSuspected goes to the bus of the Region that survives, which is this one: no observer of a Region suspects its
      # own. Doubts go here or to the witness's.
      actions   = ["events:PutEvents"]
      resources = [local.here.bus, local.witness.bus]
    },
    {
      # The password for PostgreSQL is a token that this permission signs.
      actions   = ["rds-db:connect"]
      resources = [local.here.ledger_user]
    },
  ]

  network = local.functions_network

  region             = local.region
  account            = local.account
  zips               = var.platform.zips
  architecture       = var.platform.architecture
  holdfast_config    = var.holdfast_config
  page_topic_arn     = aws_sns_topic.pages.arn
  log_retention_days = var.platform.log_retention_days
}
