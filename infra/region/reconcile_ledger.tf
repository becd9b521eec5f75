# Attempts, ledger and the card network's file side by side.

module "reconcile_ledger" {
  source = "../function"

  name                 = "reconcile-ledger"
  does                 = "Says which payments are lost, doubled, wrong or in doubt, and proposes entries"
  timeout_seconds      = 900
  memory_mb            = 1024
  scratch_mb           = 10240 # A file of 4 GB beside an export of the ledger.
  runs_at_once         = 5     # The minute's look, and a few files of a fan-out.
  schedule             = "rate(1 minute)"
  silent_after_minutes = 5

  rules = {
    incident = {
      bus     = aws_cloudwatch_event_bus.holdfast.name
      pattern = jsonencode({ source = ["holdfast"], "detail-type" = ["IncidentAdvanced"] })
    }
    # The card network's file. S3 tells EventBridge of it only because the bucket's notifications are on (receipts.tf).
    clearing = {
      bus = "default"
      pattern = jsonencode({
        source        = ["aws.s3"]
        "detail-type" = ["Object Created"]
        detail        = { bucket = { name = [local.own.receipts_bucket] }, object = { key = [{ prefix = "holdfast/clearing/" }] } }
      })
    }
  }

  may = [
    {
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"]
      resources = [local.here.coordination]
    },
    {
      actions   = ["dynamodb:Query", "dynamodb:DescribeTable"]
      resources = [local.here.attempts]
    },
    {
      # Files of the card network and the bank, and what the shards of a large one have left for the merge.
      actions   = ["s3:GetObject"]
      resources = ["${local.here.bucket}/holdfast/clearing/*", "${local.here.bucket}/holdfast/reconcile-ledger/*"]
    },
    {
      # Reports, and copies of files that cannot be used. It deletes nothing: the original stays where it landed.
      actions   = ["s3:PutObject"]
      resources = ["${local.here.bucket}/holdfast/reconcile-ledger/*", "${local.here.bucket}/holdfast/quarantine/*"]
    },
    {
      # Without it S3 says "forbidden" of a file that is not there.
      actions   = ["s3:ListBucket"]
      resources = [local.here.bucket]
    },
    {
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [local.here.keys]
      when      = { StringEquals = { "kms:ViaService" = ["s3.${local.here.region}.amazonaws.com"] } }
    },
    {
      actions   = ["events:PutEvents"]
      resources = [local.here.bus, local.witness.bus]
    },
    {
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
