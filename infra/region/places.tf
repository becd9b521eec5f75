# Names of everything that the functions use, in this Region, in the other data Region and in the witness Region.
# They follow from the configuration file alone: a policy never waits for a resource of another Region.

data "aws_region" "here" {}

data "aws_caller_identity" "this" {}

locals {
  topology = var.holdfast.topology
  account  = data.aws_caller_identity.this.account_id
  region   = data.aws_region.here.name

  own   = one([for it in local.topology.data_regions : it if it.region == local.region])
  other = one([for it in local.topology.data_regions : it if it.region != local.region])

  # How the standby's ledger becomes the writer: promote-aurora may do what this strategy needs and nothing of another.
  strategy = try(local.topology.ledger_strategy, "global_database")

  # The last part of a cluster's ARN is its name.
  own_cluster   = reverse(split(":", local.own.cluster_arn))[0]
  other_cluster = reverse(split(":", local.other.cluster_arn))[0]

  # The first data Region of the file. Work that is done once a day by one of the two is done there.
  is_first = local.topology.data_regions[0].region == local.region

  # Every secret that `paging` names: the same name in each Region, fetched from its own.
  pager_secrets = distinct(concat(
    [for it in try(var.holdfast.paging.channels, []) : it.secret],
    [for it in [try(var.holdfast.paging.pagerduty_webhook_secret, null)] : it if it != null],
  ))

  tables = {
    for region in [local.own.region, local.other.region, local.topology.witness.region] : region => {
      coordination = "arn:aws:dynamodb:${region}:${local.account}:table/${local.topology.coordination_table}"
      attempts     = "arn:aws:dynamodb:${region}:${local.account}:table/${local.topology.attempts.table}"
      bus          = "arn:aws:events:${region}:${local.account}:event-bus/${local.topology.event_bus}"
    }
  }

  # `here`, `peer` and `witness` are what tests/drill/tests/infra.rs compares with where the functions' calls go.
  here = merge(local.tables[local.own.region], {
    region           = local.own.region
    bucket           = "arn:aws:s3:::${local.own.receipts_bucket}"
    objects          = "arn:aws:s3:::${local.own.receipts_bucket}/*"
    topic            = local.own.page_topic_arn
    ledger_user      = "arn:aws:rds-db:${local.own.region}:${local.account}:dbuser:*/${local.topology.ledger.user}"
    cluster          = local.own.cluster_arn
    instances        = "arn:aws:rds:${local.own.region}:${local.account}:db:*"
    parameter_groups = "arn:aws:rds:${local.own.region}:${local.account}:cluster-pg:*"
    keys             = "arn:aws:kms:${local.own.region}:${local.account}:key/*"
    secrets          = [for name in local.pager_secrets : "arn:aws:secretsmanager:${local.own.region}:${local.account}:secret:${name}-??????"]
    global_cluster   = "arn:aws:rds::${local.account}:global-cluster:${local.topology.global_cluster}"
    jobs             = "arn:aws:s3:${local.own.region}:${local.account}:job/*"
    switch           = "arn:aws:s3:::${local.topology.global_cluster}-switch-${local.own.region}"
    evacuation       = "arn:aws:s3:::${local.topology.global_cluster}-switch-${local.own.region}/evacuate/${local.other.region}"
    weighted_zone    = try("arn:aws:route53:::hostedzone/${var.holdfast.traffic.routing.weighted.hosted_zone_id}", null)
    services         = "arn:aws:ecs:${local.own.region}:${local.account}:service/*"
    functions        = "arn:aws:lambda:${local.own.region}:${local.account}:function:holdfast-*"
    batch_role       = try(var.holdfast.policy.receipts.at_scale.batch_role_arn, null)

    # Snapshots that were copied into this Region: RDS keeps the name of the cluster that they are of.
    snapshots     = "arn:aws:rds:${local.own.region}:${local.account}:cluster-snapshot:*"
    snapshots_of  = "arn:aws:rds:${local.own.region}:${local.account}:cluster:${local.other_cluster}"
    only_instance = "arn:aws:rds:${local.own.region}:${local.account}:db:${local.own_cluster}-1"
    # What a restored cluster and its instance are made with: the configured subnets, and RDS's own defaults, which it
    # checks like groups that were asked for.
    made_with = [
      "arn:aws:rds:${local.own.region}:${local.account}:subgrp:${try(local.own.restore_into.subnet_group, "none")}",
      "arn:aws:rds:${local.own.region}:${local.account}:cluster-pg:default.*",
      "arn:aws:rds:${local.own.region}:${local.account}:pg:default.*",
      "arn:aws:rds:${local.own.region}:${local.account}:og:default:*",
    ]
  })
  peer = merge(local.tables[local.other.region], {
    region           = local.other.region
    bucket           = "arn:aws:s3:::${local.other.receipts_bucket}"
    objects          = "arn:aws:s3:::${local.other.receipts_bucket}/*"
    topic            = local.other.page_topic_arn
    cluster          = local.other.cluster_arn
    keys             = "arn:aws:kms:${local.other.region}:${local.account}:key/*"
    jobs             = "arn:aws:s3:${local.other.region}:${local.account}:job/*"
    instances        = "arn:aws:rds:${local.other.region}:${local.account}:db:*"
    switch           = "arn:aws:s3:::${local.topology.global_cluster}-switch-${local.other.region}"
    services         = "arn:aws:ecs:${local.other.region}:${local.account}:service/*"
    functions        = "arn:aws:lambda:${local.other.region}:${local.account}:function:holdfast-*"
    parameter_groups = "arn:aws:rds:${local.other.region}:${local.account}:cluster-pg:*"
    snapshots        = "arn:aws:rds:${local.other.region}:${local.account}:cluster-snapshot:*"
    # The ARN of a global cluster has no Region: the client's own decides which control plane is asked.
    global_cluster = "arn:aws:rds::${local.account}:global-cluster:${local.topology.global_cluster}"
  })
  witness = merge(local.tables[local.topology.witness.region], {
    region = local.topology.witness.region
    topic  = local.topology.witness.page_topic_arn
  })

  # What Route 53 keeps in us-east-1, whichever Region asks.
  global = {
    zone          = "arn:aws:route53:::hostedzone/${try(var.holdfast.readiness.record.zone, "none")}"
    health_checks = "arn:aws:route53:::healthcheck/*"
  }

  # What check-readiness compares by hash.
  compared = {
    secrets    = distinct(concat(local.pager_secrets, try(var.holdfast.readiness.secrets, [])))
    parameters = try(var.holdfast.readiness.parameters, [])
  }
}
