# All that us-east-1 holds: Route 53's metric is there and nowhere else, and so are the alarm on it and its topic.
# It is the third, late opinion: AWS says that several minutes may pass. Observers in three Regions are the trigger.

resource "aws_sns_topic" "health_checks" {
  #checkov:skip=CKV_AWS_26:Alarms carry no secret, and a mistake in a key policy would keep them from promote-aurora in silence.
  provider = aws.us_east_1
  name     = "holdfast-health-checks"
}

resource "aws_sns_topic_policy" "health_checks" {
  provider = aws.us_east_1
  arn      = aws_sns_topic.health_checks.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AlarmsOfThisAccount"
      Effect    = "Allow"
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.health_checks.arn
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

# A subscription is made in the topic's Region, and delivers to the functions in theirs. SNS tries for 23 days; a queue for
# what it gives up would have to be in us-east-1, too, and this opinion is worth nothing after a minute.
resource "aws_sns_topic_subscription" "promote_aurora" {
  provider = aws.us_east_1
  for_each = toset([local.first.region, local.second.region])

  topic_arn = aws_sns_topic.health_checks.arn
  protocol  = "lambda"
  endpoint  = var.promoters[each.key].live_arn
}

resource "aws_cloudwatch_metric_alarm" "health_check" {
  provider = aws.us_east_1
  for_each = local.sides

  alarm_name        = "holdfast-health-check-${each.key}"
  alarm_description = "Route 53 finds ${each.key} unhealthy. promote-aurora looks at the votes."
  namespace         = "AWS/Route53"
  metric_name       = "HealthCheckStatus"
  dimensions        = { HealthCheckId = aws_route53_health_check.liveness[each.key].id }
  statistic         = "Minimum"
  period            = 60

  evaluation_periods  = 2
  comparison_operator = "LessThanThreshold"
  threshold           = 1

  # A missing metric is unknown, and never a dark Region.
  treat_missing_data = "missing"
  alarm_actions      = [aws_sns_topic.health_checks.arn]
  ok_actions         = [aws_sns_topic.health_checks.arn]
}
