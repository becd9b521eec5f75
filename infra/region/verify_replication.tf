# Says of each store, each way, whether it replicates.

module "verify_replication" {
  source = "../function"

  name                 = "verify-replication"
  does                 = "Sends canaries through every store, both ways: in sync, lagging, stalled or unknown"
  timeout_seconds      = 60
  memory_mb            = 256
  runs_at_once         = 3
  schedule             = "rate(1 minute)"
  silent_after_minutes = 5

  rules = {
    incident = {
      bus     = aws_cloudwatch_event_bus.holdfast.name
      pattern = jsonencode({ source = ["holdfast"], "detail-type" = ["IncidentAdvanced"] })
    }
  }

  may = [
    {
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"]
      resources = [local.here.coordination]
    },
    {
      actions   = ["dynamodb:DescribeTable", "dynamodb:GetItem"]
      resources = [local.here.attempts, local.peer.attempts]
    },
    {
      # One look reads the payments team's own items: keys that both Regions have accepted.
      actions   = ["dynamodb:Query"]
      resources = [local.here.attempts]
    },
    {
      # It writes canaries and nothing else into the payments team's table.
      actions   = ["dynamodb:PutItem"]
      resources = [local.here.attempts, local.peer.attempts]
      when      = { "ForAllValues:StringEquals" = { "dynamodb:LeadingKeys" = ["holdfast-canary"] } }
    },
    {
      # CloudWatch knows no resource for GetMetricData.
      actions   = ["cloudwatch:GetMetricData"]
      resources = ["*"]
      when      = { StringEquals = { "aws:RequestedRegion" = [local.here.region, local.peer.region] } }
    },
    {
      actions   = ["s3:GetReplicationConfiguration"]
      resources = [local.here.bucket, local.peer.bucket]
    },
    {
      actions   = ["s3:GetObject", "s3:PutObject"]
      resources = ["${local.here.bucket}/holdfast/canary-from-*", "${local.peer.bucket}/holdfast/canary-from-*"]
    },
    {
      # Without it S3 says "forbidden" of a canary that is not there yet, and that would be unknown instead of stalled.
      actions   = ["s3:ListBucket"]
      resources = [local.here.bucket, local.peer.bucket]
    },
    {
      # Objects are encrypted with the key of the bucket's Region.
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [local.here.keys, local.peer.keys]
      when      = { StringLike = { "kms:ViaService" = ["s3.*.amazonaws.com"] } }
    },
    {
      actions   = ["rds:DescribeGlobalClusters"]
      resources = [local.here.global_cluster]
    },
    {
      actions   = ["events:PutEvents"]
      resources = [local.here.bus, local.witness.bus]
    },
  ]

  never = [
    {
      # It only looks. It may not move a writer even if its code were told to.
      actions   = ["rds:FailoverGlobalCluster", "rds:SwitchoverGlobalCluster"]
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
