# Turns events into pages. What only this function has is in this file: channels, secrets, rehearsals, acknowledgements.

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
      # Every event of Holdfast's that a person may have to read; RegionSuspected is read as the incident that it opens.
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
      # Its own topic first, then the others: one that fails must not keep a page back.
      actions   = ["sns:Publish"]
      resources = [local.here.topic, local.witness.topic, local.peer.topic]
    },
    {
      # A person's answer goes to promote-aurora, in the Region that the incident promotes.
      actions   = ["events:PutEvents"]
      resources = [local.here.bus, local.peer.bus]
    },
    ],
    # IAM refuses a statement without resources.
    length(local.here.secrets) == 0 ? [] : [{
      # Keys of the HTTPS channels, in this Region only: a secret that is fetched from a dark Region pages nobody.
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

# The alarm on each dead-letter queue pages by itself, through SNS, and starts page-humans besides, for every other channel.
resource "aws_lambda_permission" "dead_letters" {
  statement_id   = "dead-letters"
  action         = "lambda:InvokeFunction"
  function_name  = module.page_humans.name
  qualifier      = module.page_humans.alias
  principal      = "lambda.alarms.cloudwatch.amazonaws.com"
  source_account = local.account
}

# A dead man's switch: page-humans says every minute that it could read its table; it is missed by SNS alone.
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

# Acknowledgements come here. Who may send them is said by IAM, in their own role; nobody from outside.
resource "aws_lambda_function_url" "page_humans" {
  function_name      = module.page_humans.name
  qualifier          = module.page_humans.alias
  authorization_type = "AWS_IAM"
}

# A pager that is never rung is a pager that does not ring.
resource "aws_cloudwatch_event_rule" "rehearsal" {
  count = var.platform.rehearse_pages == null ? 0 : 1

  name                = "holdfast-page-humans-rehearsal"
  description         = "Pages everybody once a week through every channel, as a rehearsal"
  schedule_expression = var.platform.rehearse_pages
}

resource "aws_cloudwatch_event_target" "rehearsal" {
  count = var.platform.rehearse_pages == null ? 0 : 1

  rule  = aws_cloudwatch_event_rule.rehearsal[0].name
  arn   = module.page_humans.live_arn
  input = jsonencode({ action = "rehearse" })

  dead_letter_config {
    arn = module.page_humans.dead_letters_arn
  }
}

resource "aws_lambda_permission" "rehearsal" {
  count = var.platform.rehearse_pages == null ? 0 : 1

  statement_id  = "rehearsal"
  action        = "lambda:InvokeFunction"
  function_name = module.page_humans.name
  qualifier     = module.page_humans.alias
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.rehearsal[0].arn
}
