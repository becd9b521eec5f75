# People are told from here when a data Region cannot: the same function with the same pattern.

module "page_humans" {
  source = "../function"

  name                 = "page-humans"
  does                 = "Turns events into pages, one for each state"
  timeout_seconds      = 60
  memory_mb            = 256
  runs_at_once         = 10
  schedule             = "rate(1 minute)"
  silent_after_minutes = 3

  rules = {
    told = {
      bus = aws_cloudwatch_event_bus.holdfast.name
      pattern = jsonencode({
        source = ["holdfast"]
        "detail-type" = [
          "RegionDoubtful", "StandbyDark", "IncidentAdvanced", "LossCounted", "ReplicationChanged", "KeysAcceptedTwice",
          "ReceiptsReconciled", "PromotionSlow", "DatabaseNotice", "TriggerRefused", "LedgerReconciled", "ClearingFileRefused",
        ]
      })
    }
  }

  may = concat([
    {
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem"]
      resources = [local.here.coordination]
    },
    {
      actions   = ["sns:Publish"]
      resources = concat([local.here.topic], local.peer.topics)
    },
    ],
    length(local.here.secrets) == 0 ? [] : [{
      actions   = ["secretsmanager:GetSecretValue"]
      resources = local.here.secrets
    }],
  )

  region             = local.region
  account            = local.account
  zips               = var.platform.zips
  architecture       = var.platform.architecture
  holdfast_config    = var.holdfast_config
  page_topic_arn     = aws_sns_topic.pages.arn
  log_retention_days = var.platform.log_retention_days
}
