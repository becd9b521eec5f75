output "regions" {
  description = "The functions of each Region, as both must be alike."
  value = {
    first   = module.first.functions
    second  = module.second.functions
    witness = module.witness.functions
  }
}

output "places" {
  description = "Which Region is which."
  value = {
    first   = module.first.region
    second  = module.second.region
    witness = local.topology.witness.region
  }
}

output "switches" {
  description = "Where STOP is thrown: an object `evacuate/<Region>` in the *other* Region's bucket."
  value       = { first = module.first.switch.bucket, second = module.second.switch.bucket }
}

output "alarm_topics_in_us_east_1" {
  description = "All that us-east-1 holds."
  value       = module.global.health_checks_topic_arn
}
