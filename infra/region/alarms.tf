# What this Region says of the other, beside the votes. It makes promote-aurora look; only a quorum makes it act.

resource "aws_cloudwatch_metric_alarm" "peer_unreachable" {
  alarm_name        = "holdfast-${local.peer.region}-unreachable"
  alarm_description = "The observer in ${local.region} cannot reach ${local.peer.region}. promote-aurora looks at the votes."
  namespace         = "Holdfast"
  metric_name       = "LivenessFailures"
  dimensions        = { Observer = local.region, Subject = local.peer.region }
  statistic         = "Maximum"
  period            = 60

  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = try(var.holdfast.policy.failed_probes, 2)

  # No metric says nothing of the other Region; that the observer is silent is the alarm `holdfast-observe-region-silent`.
  treat_missing_data = "missing"
  alarm_actions      = [aws_sns_topic.alarms.arn]
}

# The oldest thing that Holdfast looks at is the standby's lag; without it no price can be named.
# The metric exists only in the Region that stands by, so it is missing in one of the two on any day: that pages nobody.
resource "aws_cloudwatch_metric_alarm" "lag" {
  alarm_name        = "holdfast-ledger-lag"
  alarm_description = "The ledger's copy in ${local.region} is more than ten seconds behind: a failover now would lose that much."
  namespace         = "AWS/RDS"
  metric_name       = "AuroraGlobalDBRPOLag"
  dimensions        = { DBClusterIdentifier = reverse(split(":", local.own.cluster_arn))[0], SourceRegion = local.peer.region }
  statistic         = "Maximum"
  period            = 60

  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 10000
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.pages.arn]
}
