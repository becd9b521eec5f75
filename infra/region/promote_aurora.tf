# Drives an incident, and only ever promotes this Region.

module "promote_aurora" {
  source = "../function"

  name                 = "promote-aurora"
  does                 = "Drives an incident: evidence, decision, fence, failover or switchover, proof that writes work"
  timeout_seconds      = 900
  memory_mb            = 512
  runs_at_once         = 10 # Suspicions come every 5 s from two observers while one run drives; a person's approval must get in.
  schedule             = "rate(1 minute)"
  silent_after_minutes = 3

  rules = {
    suspicion = {
      bus = aws_cloudwatch_event_bus.holdfast.name
      # PageAnswered: what a person has said to a page at page-humans' own address.
      pattern = jsonencode({ source = ["holdfast"], "detail-type" = ["RegionSuspected", "PageAnswered"] })
    }
    # Evidence, late and without order: RDS says that an event can take five minutes. Polling is the truth.
    rds = {
      bus     = "default"
      pattern = jsonencode({ source = ["aws.rds"], "detail-type" = ["RDS DB Cluster Event", "RDS DB Instance Event"] })
    }
  }

  may = concat([
    {
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"]
      resources = [local.here.coordination]
    },
    {
      # The price: what was attempted, against what the ledger has.
      actions   = ["dynamodb:Query", "dynamodb:DescribeTable"]
      resources = [local.here.attempts]
    },
    {
      actions   = ["rds:DescribeGlobalClusters"]
      resources = [local.here.global_cluster]
    },
    {
      # RDS finds the instances of a cluster by a filter, and checks such a call against every instance.
      actions   = ["rds:DescribeDBClusters", "rds:DescribeDBInstances"]
      resources = [local.here.cluster, local.here.instances]
    },
    {
      # When the old Region is back: whether there is a snapshot of its old volume.
      actions   = ["rds:DescribeDBClusterSnapshots"]
      resources = [local.peer.cluster, local.peer.snapshots]
    },
    {
      # CloudWatch knows no resource for GetMetricData. The lag is measured in the standby's Region, which is this one.
      actions   = ["cloudwatch:GetMetricData"]
      resources = ["*"]
      when      = { StringEquals = { "aws:RequestedRegion" = [local.here.region] } }
    },
    {
      actions   = ["events:PutEvents"]
      resources = [local.here.bus, local.witness.bus]
    },
    {
      actions   = ["rds-db:connect"]
      resources = [local.here.ledger_user]
    },
    ],
    # What makes the standby the writer, by `topology.ledger_strategy`.
    {
      global_database = [
        {
          # An unplanned promotion is asked for in the Region that is promoted, and names the promoted cluster.
          actions   = ["rds:FailoverGlobalCluster"]
          resources = [local.here.global_cluster, local.here.cluster]
        },
        {
          # A planned one is asked for in the Region that still has the writer, and both clusters are healthy.
          actions   = ["rds:SwitchoverGlobalCluster"]
          resources = [local.peer.global_cluster, local.here.cluster]
          when      = { StringEquals = { "aws:RequestedRegion" = [local.peer.region] } }
        },
        {
          # When the old Region is back: the snapshot of its old volume, copied to one that no retention rule deletes.
          actions   = ["rds:CopyDBClusterSnapshot", "rds:AddTagsToResource"]
          resources = [local.peer.cluster, local.peer.snapshots]
        },
        {
          # RDS copies an encrypted snapshot with the caller's grant on its key, in the old Region alone.
          actions   = ["kms:DescribeKey", "kms:CreateGrant"]
          resources = [local.peer.keys]
          when      = { StringEquals = { "kms:ViaService" = ["rds.${local.peer.region}.amazonaws.com"] } }
        },
      ]
      read_replica = [
        {
          # This Region's replica alone; a promoted one replicates nobody for ever.
          actions   = ["rds:PromoteReadReplicaDBCluster"]
          resources = [local.here.cluster]
        },
      ]
      restore_from_snapshot = [
        {
          # The newest snapshot of the other Region's cluster that was copied into this one.
          actions   = ["rds:DescribeDBClusterSnapshots"]
          resources = [local.here.snapshots_of, local.here.snapshots]
        },
        {
          # One cluster, of the configured name: a second one cannot be made.
          actions   = ["rds:RestoreDBClusterFromSnapshot"]
          resources = concat([local.here.cluster, local.here.snapshots], local.here.made_with)
        },
        {
          # And its one instance.
          actions   = ["rds:CreateDBInstance"]
          resources = concat([local.here.cluster, local.here.only_instance], local.here.made_with)
        },
        {
          # RDS restores an encrypted snapshot with the caller's grant on its key, in this Region alone.
          actions   = ["kms:DescribeKey", "kms:CreateGrant"]
          resources = [local.here.keys]
          when      = { StringEquals = { "kms:ViaService" = ["rds.${local.here.region}.amazonaws.com"] } }
        },
      ]
    }[local.strategy],
  )

  never = [
    {
      # Law 3 as a fence: this function promotes its own Region, and no unplanned call goes to the dark one.
      actions   = ["rds:FailoverGlobalCluster"]
      resources = ["*"]
      when      = { StringNotEquals = { "aws:RequestedRegion" = [local.here.region] } }
    },
    {
      # A planned move is asked of the Region that has the writer, never of this one and never of a third.
      actions   = ["rds:SwitchoverGlobalCluster"]
      resources = ["*"]
      when      = { StringNotEquals = { "aws:RequestedRegion" = [local.peer.region] } }
    },
    {
      # Nothing that it does takes the topology apart.
      actions   = ["rds:RemoveFromGlobalCluster", "rds:DeleteGlobalCluster", "rds:DeleteDBCluster", "rds:DeleteDBInstance", "rds:DeleteDBClusterSnapshot"]
      resources = ["*"]
    },
    {
      # The coordination table is used through this Region's own replica: a cut-off Region must fail to write.
      actions   = ["dynamodb:*"]
      resources = [local.peer.coordination, local.witness.coordination]
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

# Alarms of this Region start it, too: they make it look, and only votes or a person make it act.
resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26:Alarms carry no secret, and a mistake in a key policy would keep them from promote-aurora in silence.
  name = "holdfast-alarms"
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AlarmsOfThisAccount"
      Effect    = "Allow"
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.alarms.arn
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_sns_topic_subscription" "alarms" {
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "lambda"
  endpoint  = module.promote_aurora.live_arn
  # SNS tries for 23 days; then the letter is here.
  redrive_policy = jsonencode({ deadLetterTargetArn = module.promote_aurora.dead_letters_arn })
}

resource "aws_lambda_permission" "alarms" {
  statement_id  = "alarms"
  action        = "lambda:InvokeFunction"
  function_name = module.promote_aurora.name
  qualifier     = module.promote_aurora.alias
  principal     = "sns.amazonaws.com"
  source_arn    = aws_sns_topic.alarms.arn
}

# The third, late opinion comes from us-east-1, the only Region that has Route 53's metric (see infra/global).
resource "aws_lambda_permission" "health_checks" {
  statement_id  = "health-checks"
  action        = "lambda:InvokeFunction"
  function_name = module.promote_aurora.name
  qualifier     = module.promote_aurora.alias
  principal     = "sns.amazonaws.com"
  source_arn    = "arn:aws:sns:us-east-1:${local.account}:holdfast-health-checks"
}
