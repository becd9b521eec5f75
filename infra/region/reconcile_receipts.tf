# Makes both buckets of receipts show the same.

module "reconcile_receipts" {
  source = "../function"

  name            = "reconcile-receipts"
  does            = "Compares both buckets of receipts by ancestry, and makes them hold the union"
  timeout_seconds = 900
  memory_mb       = 512
  runs_at_once    = 1 # Two runs over the same keys would undo nothing, but they would list everything twice.

  # One of the two Regions compares; the other has the same rule, asleep. It begins at 03:00 UTC, before people do.
  schedule        = "cron(0 3 * * ? *)"
  schedule_sleeps = !local.is_first

  rules = {
    incident = {
      bus     = aws_cloudwatch_event_bus.holdfast.name
      pattern = jsonencode({ source = ["holdfast"], "detail-type" = ["IncidentAdvanced", "RegionRecovered", "ReceiptsUnfinished"] })
    }
  }

  may = concat([
    {
      # One apply at a time, in either Region.
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem"]
      resources = [local.here.coordination]
    },
    {
      actions   = ["s3:ListBucket", "s3:ListBucketVersions"]
      resources = [local.here.bucket, local.peer.bucket]
    },
    {
      # Never DeleteObjectVersion: what it deletes is a marker, and the bytes stay under it.
      actions = [
        "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectVersionTagging",
        "s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectRetention", "s3:PutObjectLegalHold",
        "s3:AbortMultipartUpload", "s3:DeleteObject",
      ]
      resources = [local.here.objects, local.peer.objects]
    },
    {
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [local.here.keys, local.peer.keys]
      when      = { StringLike = { "kms:ViaService" = ["s3.*.amazonaws.com"] } }
    },
    {
      actions   = ["events:PutEvents"]
      resources = [local.here.bus, local.witness.bus]
    },
    ],
    # Buckets that are too large to be listed: jobs of Batch Replication, under a role that the owners have made for them.
    local.here.batch_role == null ? [] : [{
      # S3 knows no resource for a job that does not exist yet.
      actions   = ["s3:CreateJob"]
      resources = ["*"]
      when      = { StringEquals = { "aws:RequestedRegion" = [local.here.region, local.peer.region] } }
    }],
    local.here.batch_role == null ? [] : [{
      actions   = ["s3:DescribeJob"]
      resources = [local.here.jobs, local.peer.jobs]
    }],
    local.here.batch_role == null ? [] : [{
      actions   = ["s3:GetReplicationConfiguration"]
      resources = [local.here.bucket, local.peer.bucket]
    }],
    local.here.batch_role == null ? [] : [{
      actions   = ["iam:PassRole"]
      resources = [local.here.batch_role]
      when      = { StringEquals = { "iam:PassedToService" = ["batchoperations.s3.amazonaws.com"] } }
    }],
  )

  never = [
    {
      actions   = ["s3:DeleteObjectVersion", "s3:BypassGovernanceRetention", "s3:PutBucketVersioning"]
      resources = ["*"]
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
