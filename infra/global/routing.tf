# DNS: each customer goes to the nearer Region that is healthy. Route 53 answers and checks in many places at once, but
# its records are changed in us-east-1 alone: nothing here is changed during an outage. STOP is an object (region/switch.tf).

locals {
  routes = contains(var.platform.left_out, "routing") ? 0 : 1
  # Which other Region's switch evacuates this one.
  sides = local.routes == 0 ? {} : {
    (local.first.region)  = { liveness = local.first.liveness_url, switch = var.second.switch, front_door = var.first.front_door }
    (local.second.region) = { liveness = local.second.liveness_url, switch = var.first.switch, front_door = var.second.front_door }
  }
  doors = { for region, side in local.sides : region => side if !contains(var.platform.left_out, "service") }
}

data "aws_route53_zone" "service" {
  provider = aws.us_east_1
  count    = local.routes
  name     = var.platform.hosted_zone
}

# Liveness, seen from many places. Ten seconds is the shortest interval, and it can never be changed; with three failures
# a Region is out after 30 s, and DNS answers are kept for 60 s more.
resource "aws_route53_health_check" "liveness" {
  provider = aws.us_east_1
  for_each = local.sides

  type              = "HTTPS" # It does not look at the certificate.
  fqdn              = split("/", each.value.liveness)[2]
  resource_path     = "/${join("/", slice(split("/", each.value.liveness), 3, length(split("/", each.value.liveness))))}"
  port              = 443
  request_interval  = 10
  failure_threshold = 3
  tags              = { Name = "holdfast-liveness-${each.key}" }
}

# STOP: healthy while the object is not there.
resource "aws_route53_health_check" "stop" {
  provider = aws.us_east_1
  for_each = local.sides

  type               = "HTTPS"
  invert_healthcheck = true
  fqdn               = each.value.switch.domain
  resource_path      = "/evacuate/${each.key}"
  port               = 443
  request_interval   = 10
  failure_threshold  = 1
  tags               = { Name = "holdfast-stop-${each.key}" }
}

# In DNS only while it lives and nobody has thrown its switch.
resource "aws_route53_health_check" "in_service" {
  provider = aws.us_east_1
  for_each = local.sides

  type                   = "CALCULATED"
  child_healthchecks     = [aws_route53_health_check.liveness[each.key].id, aws_route53_health_check.stop[each.key].id]
  child_health_threshold = 2
  tags                   = { Name = "holdfast-in-service-${each.key}" }
}

# If no record is healthy Route 53 answers them all: two thrown switches evacuate nothing.
resource "aws_route53_record" "service" {
  #checkov:skip=CKV2_AWS_23:The load balancer is in infra/region; the scan does not follow it there.
  provider = aws.us_east_1
  for_each = local.doors

  zone_id        = data.aws_route53_zone.service[0].zone_id
  name           = var.platform.service_domain
  type           = "A"
  set_identifier = each.key

  latency_routing_policy {
    region = each.key
  }
  health_check_id = aws_route53_health_check.in_service[each.key].id

  alias {
    # The time-to-live of an alias to a load balancer is 60 s and cannot be set.
    name                   = each.value.front_door.dns_name
    zone_id                = each.value.front_door.zone_id
    evaluate_target_health = true
  }
}

# Each Region's own name, for observers, for clients that try the other Region, and for people. It has no health check.
resource "aws_route53_record" "region" {
  #checkov:skip=CKV2_AWS_23:The load balancer is in infra/region; the scan does not follow it there.
  provider = aws.us_east_1
  for_each = local.doors

  zone_id = data.aws_route53_zone.service[0].zone_id
  name    = "${each.key}.${var.platform.service_domain}"
  type    = "A"

  alias {
    name                   = each.value.front_door.dns_name
    zone_id                = each.value.front_door.zone_id
    evaluate_target_health = false
  }
}

# The same names are asked for by both Regions' certificates; ACM wants one record for each name.
resource "aws_route53_record" "validation" {
  provider = aws.us_east_1
  for_each = merge(flatten([for region, side in local.doors : [
    for number, name in [var.platform.service_domain, "${region}.${var.platform.service_domain}"] :
    { (name) = { region = region, number = number } }
  ]])...)

  zone_id         = data.aws_route53_zone.service[0].zone_id
  allow_overwrite = true
  name            = [for it in local.doors[each.value.region].front_door.validation : it.resource_record_name if it.domain_name == each.key][0]
  type            = [for it in local.doors[each.value.region].front_door.validation : it.resource_record_type if it.domain_name == each.key][0]
  records         = [[for it in local.doors[each.value.region].front_door.validation : it.resource_record_value if it.domain_name == each.key][0]]
  ttl             = 300
}
