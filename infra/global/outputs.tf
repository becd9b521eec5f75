output "writer_endpoint" {
  description = "The global writer endpoint as AWS has named it; null where the ledger is left out."
  value       = one(aws_rds_global_cluster.ledger[*].endpoint)
}

output "reader_endpoints" {
  description = "Each cluster's reader endpoint as AWS has named it; empty where the ledger is left out."
  value = merge(
    { for cluster in aws_rds_cluster.first : local.first.region => cluster.reader_endpoint },
    { for cluster in aws_rds_cluster.second : local.second.region => cluster.reader_endpoint },
  )
}

output "coordination_table" {
  description = "The coordination table's name, once it is made."
  value       = local.topology.coordination_table
  depends_on  = [aws_cloudformation_stack.table, aws_dynamodb_table.apart_witness]
}

output "health_checks_topic_arn" {
  description = "The topic of Route 53's alarm."
  value       = aws_sns_topic.health_checks.arn
}
