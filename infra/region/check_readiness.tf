# Compares the two data Regions, once an hour and before each deployment. It reads, and changes nothing but its own records.

module "check_readiness" {
  source = "../function"

  name            = "check-readiness"
  does            = "Compares the two data Regions: what differs, what would hurt in an outage, what cannot be known"
  timeout_seconds = 120
  memory_mb       = 512
  runs_at_once    = 2
  # Both Regions have it; who finds that the other has looked just now does nothing.
  schedule = "rate(1 hour)"

  may = concat([
    {
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"]
      resources = [local.here.coordination]
    },
    {
      actions   = ["dynamodb:DescribeTable", "dynamodb:DescribeContinuousBackups"]
      resources = [local.here.coordination, local.here.attempts, local.peer.coordination, local.peer.attempts]
    },
    {
      actions   = ["rds:DescribeDBClusters"]
      resources = [local.here.cluster, local.peer.cluster]
    },
    {
      actions   = ["rds:DescribeDBInstances"]
      resources = [local.here.instances, local.peer.instances]
    },
    {
      actions   = ["rds:DescribeDBClusterParameters"]
      resources = [local.here.parameter_groups, local.peer.parameter_groups]
    },
    {
      # Cloud Control reads a resource in the caller's name: beside its own two actions the role needs those of the services
      # behind them, and several of these know no resource.
      actions = [
        "cloudformation:GetResource", "cloudformation:ListResources", "ecs:DescribeTaskDefinition",
        "application-autoscaling:DescribeScalableTargets", "ec2:DescribeSecurityGroups",
        "elasticloadbalancing:DescribeLoadBalancers", "elasticloadbalancing:DescribeLoadBalancerAttributes",
        "elasticloadbalancing:DescribeListeners", "elasticloadbalancing:DescribeListenerAttributes",
        "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetGroupAttributes",
        "elasticloadbalancing:DescribeTags", "cloudwatch:GetMetricData", "servicequotas:GetServiceQuota",
      ]
      resources = ["*"]
      when      = { StringEquals = { "aws:RequestedRegion" = [local.here.region, local.peer.region] } }
    },
    {
      actions   = ["ecs:DescribeServices"]
      resources = [local.here.services, local.peer.services]
    },
    {
      actions = [
        "s3:GetBucketVersioning", "s3:GetReplicationConfiguration", "s3:GetLifecycleConfiguration",
        "s3:GetEncryptionConfiguration", "s3:ListBucket",
      ]
      resources = [local.here.bucket, local.here.switch, local.peer.bucket, local.peer.switch]
    },
    {
      # The configuration of a function is read through its alias, and what is reserved for it without one.
      actions   = ["lambda:GetFunctionConfiguration", "lambda:GetFunctionConcurrency"]
      resources = [local.here.functions, local.peer.functions]
    },
    {
      # Route 53's control plane is in us-east-1 alone, which is why nothing on the path of an outage asks it.
      actions   = ["route53:ListResourceRecordSets"]
      resources = [local.global.zone]
    },
    {
      actions   = ["route53:GetHealthCheck"]
      resources = [local.global.health_checks]
    },
    {
      actions   = ["events:PutEvents"]
      resources = [local.here.bus, local.witness.bus]
    },
    ],
    length(local.compared.secrets) == 0 ? [] : [{
      # Values are hashed as they arrive, with a salt of that run, and are kept nowhere.
      actions = ["secretsmanager:GetSecretValue"]
      resources = concat(
        [for name in local.compared.secrets : "arn:aws:secretsmanager:${local.here.region}:${local.account}:secret:${name}-??????"],
        [for name in local.compared.secrets : "arn:aws:secretsmanager:${local.peer.region}:${local.account}:secret:${name}-??????"],
      )
    }],
    length(local.compared.parameters) == 0 ? [] : [{
      actions = ["ssm:GetParameters"]
      resources = concat(
        [for name in local.compared.parameters : "arn:aws:ssm:${local.here.region}:${local.account}:parameter/${trimprefix(name, "/")}"],
        [for name in local.compared.parameters : "arn:aws:ssm:${local.peer.region}:${local.account}:parameter/${trimprefix(name, "/")}"],
      )
    }],
  )

  never = [
    {
      # It only looks, whatever its code were told to.
      actions = [
        "cloudformation:CreateResource", "cloudformation:UpdateResource", "cloudformation:DeleteResource",
        "rds:FailoverGlobalCluster", "rds:SwitchoverGlobalCluster", "route53:ChangeResourceRecordSets",
      ]
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
