# The two networks reach each other: a payment that arrives in the standby's Region is written through the writer
# endpoint, which has a private address in the writer's.

resource "aws_vpc_peering_connection" "regions" {
  provider = aws.first

  vpc_id      = var.first.ways.vpc_id
  peer_vpc_id = var.second.ways.vpc_id
  peer_region = local.second.region
  tags        = { Name = "holdfast" }
}

resource "aws_vpc_peering_connection_accepter" "regions" {
  provider = aws.second

  vpc_peering_connection_id = aws_vpc_peering_connection.regions.id
  auto_accept               = true
}

resource "aws_route" "first_to_second" {
  provider = aws.first
  for_each = var.first.ways.route_tables

  route_table_id            = each.value
  destination_cidr_block    = var.platform.network_cidrs[local.second.region]
  vpc_peering_connection_id = aws_vpc_peering_connection_accepter.regions.id
}

resource "aws_route" "second_to_first" {
  provider = aws.second
  for_each = var.second.ways.route_tables

  route_table_id            = each.value
  destination_cidr_block    = var.platform.network_cidrs[local.first.region]
  vpc_peering_connection_id = aws_vpc_peering_connection_accepter.regions.id
}
