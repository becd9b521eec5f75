output "region" {
  description = "Which Region this is."
  value       = local.region
}

output "network" {
  description = "What the ledger's clusters are placed in."
  value = {
    subnet_group    = aws_db_subnet_group.ledger.name
    security_group  = aws_security_group.ledger.id
    parameter_group = aws_rds_cluster_parameter_group.ledger.name
    key_arn         = aws_kms_key.at_rest.arn
  }
}

output "ways" {
  description = "The network and its private route tables, for the peering with the other Region's."
  value = {
    vpc_id       = aws_vpc.this.id
    route_tables = { for zone, table in aws_route_table.private : zone => table.id }
  }
}

output "receipts" {
  description = "This Region's bucket, once its versions are kept: replication needs that."
  value = {
    bucket  = aws_s3_bucket_versioning.receipts.bucket
    arn     = aws_s3_bucket.receipts.arn
    key_arn = aws_kms_key.at_rest.arn
  }
}

output "switch" {
  description = "Where the other Region is evacuated from."
  value       = { bucket = aws_s3_bucket.switch.bucket, domain = aws_s3_bucket.switch.bucket_regional_domain_name }
}

output "front_door" {
  description = "The load balancer, for DNS; absent where the service is left out."
  value = one([for lb in aws_lb.service : {
    name       = lb.arn_suffix
    dns_name   = lb.dns_name
    zone_id    = lb.zone_id
    validation = tolist(aws_acm_certificate.service[0].domain_validation_options)
  }])
}

output "promote_aurora" {
  description = "The promoter of this Region, for Route 53's alarm; and what it may do, for the tests."
  value = {
    live_arn         = module.promote_aurora.live_arn
    dead_letters_arn = module.promote_aurora.dead_letters_arn
    may              = module.promote_aurora.may
  }
}

output "functions" {
  description = "What must be the same in both Regions."
  value = {
    observe-region     = module.observe_region.described
    promote-aurora     = module.promote_aurora.described
    check-readiness    = module.check_readiness.described
    verify-replication = module.verify_replication.described
    reconcile-ledger   = module.reconcile_ledger.described
    reconcile-receipts = module.reconcile_receipts.described
    page-humans        = module.page_humans.described
    shift-traffic      = module.shift_traffic.described
  }
}
