# The third vote: two Regions cannot tell a dead peer from a dead link.

module "observe_region" {
  source = "../function"

  name                  = "observe-region"
  does                  = "Probes both data Regions every 5 s and votes; raises RegionSuspected by quorum"
  timeout_seconds       = 75
  memory_mb             = 256
  runs_at_once          = 3
  schedule              = "rate(1 minute)"
  silent_after_minutes  = 3
  event_age_max_seconds = 60

  # No ledger is here, and so no network and no login.
  may = [
    {
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"]
      resources = [local.here.coordination]
    },
    {
      actions   = ["events:PutEvents"]
      resources = concat([local.here.bus], local.peer.buses)
    },
  ]

  region             = local.region
  account            = local.account
  zips               = var.platform.zips
  architecture       = var.platform.architecture
  holdfast_config    = var.holdfast_config
  page_topic_arn     = aws_sns_topic.pages.arn
  log_retention_days = var.platform.log_retention_days
}
