# Takes the other data Region's traffic away, or gives it back: by the switch in this Region, which no control plane is needed for.

module "shift_traffic" {
  source = "../function"

  name                 = "shift-traffic"
  does                 = "Evacuates the other data Region or lets it back in, and believes only DNS and the load balancers"
  timeout_seconds      = 60
  memory_mb            = 256
  runs_at_once         = 2
  schedule             = "rate(1 minute)"
  silent_after_minutes = 5

  may = concat([
    {
      # One order at a time, for the whole installation; votes and readiness are read.
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"]
      resources = [local.here.coordination]
    },
    {
      # The object that takes the other Region out of DNS, and nothing else in the bucket.
      actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
      resources = [local.here.evacuation]
    },
    {
      # Without it S3 says "forbidden" of a switch that is off, and that would be unknown.
      actions   = ["s3:ListBucket"]
      resources = [local.here.switch]
    },
    {
      # CloudWatch knows no resource for GetMetricData.
      actions   = ["cloudwatch:GetMetricData"]
      resources = ["*"]
      when      = { StringEquals = { "aws:RequestedRegion" = [local.here.region, local.peer.region] } }
    },
    {
      actions   = ["events:PutEvents"]
      resources = [local.here.bus, local.witness.bus]
    },
    ],
    # Weighted records are shifted in stages, by Route 53's control plane; latency records need none of it.
    local.here.weighted_zone == null ? [] : [{
      actions   = ["route53:ListResourceRecordSets", "route53:ChangeResourceRecordSets"]
      resources = [local.here.weighted_zone]
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
