# What this Region's cluster needs around it. The clusters themselves are in infra/global: they are one thing.

resource "aws_db_subnet_group" "ledger" {
  name        = "holdfast-ledger"
  description = "The ledger's cluster in ${local.region}"
  subnet_ids  = [for subnet in aws_subnet.private : subnet.id]
}

resource "aws_security_group" "ledger" {
  #checkov:skip=CKV2_AWS_5:The clusters that it is attached to are in infra/global.
  name        = "holdfast-ledger"
  description = "PostgreSQL"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "ledger" {
  for_each = { functions = aws_security_group.functions.id, service = aws_security_group.service.id }

  security_group_id            = aws_security_group.ledger.id
  description                  = "PostgreSQL from the ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = local.topology.ledger.port
  to_port                      = local.topology.ledger.port
}

# Both Regions serve and one has the writer: the other's service reaches it through the peering (global/peering.tf).
resource "aws_vpc_security_group_ingress_rule" "ledger_from_peer" {
  security_group_id = aws_security_group.ledger.id
  description       = "PostgreSQL from the service of the other Region"
  cidr_ipv4         = var.platform.network_cidrs[local.peer.region]
  ip_protocol       = "tcp"
  from_port         = local.topology.ledger.port
  to_port           = local.topology.ledger.port
}

# The same in both Regions: the standby's settings are those of the writer on the day that counts.
resource "aws_rds_cluster_parameter_group" "ledger" {
  name        = "holdfast-ledger"
  family      = "aurora-postgresql16"
  description = "The ledger, in whichever Region"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
  parameter {
    name  = "log_statement" # Changes of the schema; never rows, which are people's payments.
    value = "ddl"
  }

  # `rds.global_db_rpo` stays at its default: with two Regions a promoted primary would stop commits, since its only
  # secondary is gone. It bounds nothing at one second either; 20 s is its least.
}
