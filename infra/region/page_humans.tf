# Turns events into pages. What only this function has is in this file: channels, secrets, rehearsals, acknowledgements.

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
      # Every event of Holdfast's that a person may have to read; RegionSuspected is read as the incident that it opens.
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
      # Its own topic first, then the others: one that fails must not keep a page back.
      actions   = ["sns:Publish"]
      resources = [local.here.topic, local.witness.topic, local.peer.topic]
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

# Dead letters of this Region's functions could be read here by event source mappings: one for each
# `module.<function>.dead_letters_arn`, with the three actions of SQS that a reader needs, once page-humans takes SQS's
# records. Until then the alarm on each queue pages by itself, through SNS and past page-humans.

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
