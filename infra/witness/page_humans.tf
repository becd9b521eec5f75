# People are told from here when a data Region cannot: the same function with the same pattern.

module "page_humans" {
  source = "../function"

  name                 = "page-humans"
  does                 = "Turns events into pages, one for each state, and calls the next people when nobody answers"
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
          "TrafficShifted", "ReadinessChanged",
        ]
      })
    }
  }

  may = concat([
    {
      # Pages that are done with are forgotten: the table has no TTL.
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:DeleteItem"]
      resources = [local.here.coordination]
    },
    {
      actions   = ["sns:Publish"]
      resources = concat([local.here.topic], local.peer.topics)
    },
    {
      # A person's answer goes to promote-aurora, in the Region that the incident promotes.
      actions   = ["events:PutEvents"]
      resources = local.peer.buses
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

resource "aws_lambda_permission" "dead_letters" {
  statement_id   = "dead-letters"
  action         = "lambda:InvokeFunction"
  function_name  = module.page_humans.name
  qualifier      = module.page_humans.alias
  principal      = "lambda.alarms.cloudwatch.amazonaws.com"
  source_account = local.account
}

resource "aws_cloudwatch_metric_alarm" "pager_heartbeat" {
  alarm_name        = "holdfast-pager-heartbeat"
  alarm_description = "page-humans in ${local.region} has not said for five minutes that it can work. Nobody is called from here. Look at its log and at the coordination table."
  namespace         = "Holdfast"
  metric_name       = "PagerHeartbeat"
  dimensions        = { Region = local.region }
  statistic         = "Sum"
  period            = 60

  evaluation_periods  = 5
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.pages.arn]
}
