# A network of three zones: the service, the ledger, and the functions that reach PostgreSQL.
#
# On the unplanned path a function calls this Region's DynamoDB, RDS, CloudWatch and EventBridge: each has an endpoint in
# the network, so that losing the way to the Internet does not stop a failover. (Logs and dead letters are written by
# Lambda itself, from outside.) The probes of the other Region and the
# buses elsewhere go through the NAT gateways.

data "aws_availability_zones" "available" {
  #checkov:skip=CKV_AWS_394:Zone ids differ from Region to Region, and the inputs of both are the same. The first three by name are taken, and AWS adds names at the end.
  state = "available"
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"] # No local zones: Aurora and Fargate are not there.
  }
}

locals {
  zones = slice(data.aws_availability_zones.available.names, 0, 3)
  cidr  = var.platform.network_cidrs[local.region]
}

resource "aws_vpc" "this" {
  #checkov:skip=CKV2_AWS_11:Flow logs of a payments network are the account's own matter, with a retention of its own.
  cidr_block           = local.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true # Interface endpoints answer under the services' own names.
  tags                 = { Name = "holdfast" }
}

# Nobody is meant to use it, so nothing may pass.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.this.id
}

resource "aws_subnet" "private" {
  for_each = { for index, zone in local.zones : zone => index }

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(local.cidr, 4, each.value)
  tags              = { Name = "holdfast-private-${each.key}" }
}

resource "aws_subnet" "public" {
  for_each = { for index, zone in local.zones : zone => index }

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(local.cidr, 4, 8 + each.value)
  tags              = { Name = "holdfast-public-${each.key}" }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
}

# One in each zone: a zone that fails must not take the other two zones' observer and service with it.
resource "aws_eip" "nat" {
  for_each = toset(local.zones)
  domain   = "vpc"
}

resource "aws_nat_gateway" "this" {
  for_each = toset(local.zones)

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id
  depends_on    = [aws_internet_gateway.this]
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this.id
  }
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public

  subnet_id      = each.value.id
  route_table_id = aws_route_table.public.id
}

# Its routes are resources of their own, because the peering's are made elsewhere: routes within the table would remove them.
resource "aws_route_table" "private" {
  for_each = toset(local.zones)

  vpc_id = aws_vpc.this.id
}

resource "aws_route" "out" {
  for_each = toset(local.zones)

  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[each.key].id
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[each.key].id
}

# DynamoDB and S3 have gateways, which cost nothing.
resource "aws_vpc_endpoint" "gateway" {
  for_each = toset(["dynamodb", "s3"])

  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${local.region}.${each.key}"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for table in aws_route_table.private : table.id]
}

resource "aws_vpc_endpoint" "interface" {
  for_each = toset(["rds", "monitoring", "events"])

  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${local.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = [for subnet in aws_subnet.private : subnet.id]
  security_group_ids  = [aws_security_group.endpoints.id]
}

resource "aws_security_group" "endpoints" {
  name        = "holdfast-endpoints"
  description = "AWS services, asked from within the network"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  security_group_id = aws_security_group.endpoints.id
  description       = "TLS from the network"
  cidr_ipv4         = local.cidr
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_security_group" "functions" {
  #checkov:skip=CKV2_AWS_5:It is attached to functions, in another module.
  name        = "holdfast-functions"
  description = "Functions that reach PostgreSQL"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_egress_rule" "functions_to_ledger" {
  security_group_id            = aws_security_group.functions.id
  description                  = "PostgreSQL"
  referenced_security_group_id = aws_security_group.ledger.id
  ip_protocol                  = "tcp"
  from_port                    = local.topology.ledger.port
  to_port                      = local.topology.ledger.port
}

resource "aws_vpc_security_group_egress_rule" "functions_to_services" {
  security_group_id = aws_security_group.functions.id
  description       = "AWS, and the probes of both front doors, whose addresses change"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

locals {
  functions_network = {
    subnet_ids         = [for subnet in aws_subnet.private : subnet.id]
    security_group_ids = [aws_security_group.functions.id]
  }
}
