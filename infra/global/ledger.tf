# The ledger: one Aurora global cluster with a writer in one data Region and a warm reader in the other.
#
# After a failover the roles are swapped, and this file still says what it said before. Everything that swaps is ignored:
# an apply must never undo a failover, nor destroy a cluster because it is no longer what it was.

locals {
  has_ledger = contains(var.platform.left_out, "ledger") ? 0 : 1
  # `payments-eu-west-1` of `arn:aws:rds:eu-west-1:123456789012:cluster:payments-eu-west-1`.
  first_cluster  = reverse(split(":", local.first.cluster_arn))[0]
  second_cluster = reverse(split(":", local.second.cluster_arn))[0]
}

resource "aws_rds_global_cluster" "ledger" {
  provider = aws.first
  count    = local.has_ledger

  global_cluster_identifier = local.topology.global_cluster
  engine                    = "aurora-postgresql"
  engine_version            = var.platform.ledger_engine_version
  database_name             = local.topology.ledger.database
  storage_encrypted         = true
  deletion_protection       = true

  # Deleting it would first take its members out, and a member that is taken out never comes back in.
  force_destroy = false

  lifecycle {
    # Versions are raised by a person on a quiet day, all members together, and never by an apply that meant something
    # else: a difference of versions blocks the failover. `source_db_cluster_identifier` is whoever was first.
    ignore_changes = [engine_version, source_db_cluster_identifier, database_name]
  }
}

resource "aws_rds_cluster" "first" {
  #checkov:skip=CKV2_AWS_8:Continuous backups are kept for `backup_retention_days`; a plan of AWS Backup is the account's own matter.
  provider = aws.first
  count    = local.has_ledger

  cluster_identifier        = local.first_cluster
  global_cluster_identifier = aws_rds_global_cluster.ledger[0].id
  engine                    = aws_rds_global_cluster.ledger[0].engine
  engine_version            = aws_rds_global_cluster.ledger[0].engine_version
  database_name             = local.topology.ledger.database
  master_username           = "ledger_owner"
  # Secrets Manager's managed password does not exist for global databases. Write-only: it is in no plan and no state.
  # It is asked for on the first apply alone.
  master_password_wo         = var.platform.first_apply ? var.ledger_master_password : null
  master_password_wo_version = var.platform.first_apply ? 1 : null

  db_subnet_group_name            = var.first.network.subnet_group
  vpc_security_group_ids          = [var.first.network.security_group]
  db_cluster_parameter_group_name = var.first.network.parameter_group
  port                            = local.topology.ledger.port

  storage_encrypted                   = true
  kms_key_id                          = var.first.network.key_arn
  iam_database_authentication_enabled = true # The functions have no password: they log in with a token.
  backup_retention_period             = var.platform.backup_retention_days
  copy_tags_to_snapshot               = true
  deletion_protection                 = true
  enabled_cloudwatch_logs_exports     = ["postgresql"]
  skip_final_snapshot                 = false
  final_snapshot_identifier           = "${local.first_cluster}-final"

  lifecycle {
    # What swaps in a failover, or what only one of the two roles may have.
    ignore_changes = [
      replication_source_identifier, global_cluster_identifier, engine_version, database_name, master_username,
      master_password_wo, master_password_wo_version, availability_zones, snapshot_identifier,
    ]
  }
}

resource "aws_rds_cluster_instance" "first" {
  #checkov:skip=CKV_AWS_118:Enhanced monitoring sends the operating system's figures through CloudWatch Logs; nothing here decides by them.
  #checkov:skip=CKV_AWS_226:Versions of the two Regions must not drift apart by themselves: a difference blocks the failover.
  provider = aws.first
  for_each = local.has_ledger == 1 ? { for number in range(var.platform.ledger_instances) : tostring(number + 1) => number } : {}

  identifier           = "${local.first_cluster}-${each.key}"
  cluster_identifier   = aws_rds_cluster.first[0].id
  engine               = aws_rds_cluster.first[0].engine
  engine_version       = aws_rds_cluster.first[0].engine_version
  instance_class       = var.platform.ledger_instance_class
  db_subnet_group_name = var.first.network.subnet_group
  publicly_accessible  = false

  # Whoever is promoted may be any of them.
  promotion_tier = 1

  auto_minor_version_upgrade      = false # Versions of the two Regions must not drift apart by themselves.
  monitoring_interval             = 0
  performance_insights_enabled    = true
  performance_insights_kms_key_id = var.first.network.key_arn
  copy_tags_to_snapshot           = true

  lifecycle {
    ignore_changes = [engine_version]
  }
}

resource "aws_rds_cluster" "second" {
  #checkov:skip=CKV2_AWS_8:The same as for the first cluster: continuous backups are kept, and a plan of AWS Backup is the account's own matter.
  provider = aws.second
  count    = local.has_ledger

  cluster_identifier        = local.second_cluster
  global_cluster_identifier = aws_rds_global_cluster.ledger[0].id
  engine                    = aws_rds_global_cluster.ledger[0].engine
  engine_version            = aws_rds_global_cluster.ledger[0].engine_version

  db_subnet_group_name            = var.second.network.subnet_group
  vpc_security_group_ids          = [var.second.network.security_group]
  db_cluster_parameter_group_name = var.second.network.parameter_group
  port                            = local.topology.ledger.port

  storage_encrypted                   = true
  kms_key_id                          = var.second.network.key_arn # A copy in another Region has that Region's key.
  iam_database_authentication_enabled = true
  backup_retention_period             = var.platform.backup_retention_days
  copy_tags_to_snapshot               = true
  deletion_protection                 = true
  enabled_cloudwatch_logs_exports     = ["postgresql"]
  skip_final_snapshot                 = false
  final_snapshot_identifier           = "${local.second_cluster}-final"

  lifecycle {
    ignore_changes = [
      replication_source_identifier, global_cluster_identifier, engine_version, database_name, master_username,
      master_password_wo, master_password_wo_version, availability_zones, snapshot_identifier,
    ]
  }

  # A secondary joins a primary that has an instance.
  depends_on = [aws_rds_cluster_instance.first]
}

# The warm reader. A secondary without instances cannot be promoted to anything that takes writes (RDS-EVENT-0519).
resource "aws_rds_cluster_instance" "second" {
  #checkov:skip=CKV_AWS_118:Enhanced monitoring sends the operating system's figures through CloudWatch Logs; nothing here decides by them.
  #checkov:skip=CKV_AWS_226:Versions of the two Regions must not drift apart by themselves: a difference blocks the failover.
  provider = aws.second
  for_each = local.has_ledger == 1 ? { for number in range(var.platform.ledger_instances) : tostring(number + 1) => number } : {}

  identifier           = "${local.second_cluster}-${each.key}"
  cluster_identifier   = aws_rds_cluster.second[0].id
  engine               = aws_rds_cluster.second[0].engine
  engine_version       = aws_rds_cluster.second[0].engine_version
  instance_class       = var.platform.ledger_instance_class
  db_subnet_group_name = var.second.network.subnet_group
  publicly_accessible  = false
  promotion_tier       = 1

  auto_minor_version_upgrade      = false
  monitoring_interval             = 0
  performance_insights_enabled    = true
  performance_insights_kms_key_id = var.second.network.key_arn
  copy_tags_to_snapshot           = true

  lifecycle {
    ignore_changes = [engine_version]
  }
}
