# A function whose own bus does not take an event puts it here. This bus hands on what starts functions in the data
# Regions; the pages are made here at once. Nothing is handed back, so no event goes round.

resource "aws_cloudwatch_event_bus" "holdfast" {
  name        = local.topology.event_bus
  description = "Events of Holdfast's functions in the witness Region, and those that another bus did not take"
}

resource "aws_cloudwatch_event_rule" "to_data_regions" {
  name           = "holdfast-to-data-regions"
  description    = "What starts functions, to the buses of both data Regions"
  event_bus_name = aws_cloudwatch_event_bus.holdfast.name
  event_pattern = jsonencode({
    source        = ["holdfast"]
    "detail-type" = ["RegionSuspected", "IncidentAdvanced", "RegionRecovered", "ReceiptsUnfinished"]
  })
}

resource "aws_cloudwatch_event_target" "to_data_regions" {
  for_each = toset(local.peer.buses)

  rule           = aws_cloudwatch_event_rule.to_data_regions.name
  event_bus_name = aws_cloudwatch_event_bus.holdfast.name
  arn            = each.value
  role_arn       = aws_iam_role.hands_on.arn

  retry_policy {
    # A dark Region gets nothing. What it missed it reads from the coordination table when it is back.
    maximum_event_age_in_seconds = 600
    maximum_retry_attempts       = 185
  }
  dead_letter_config {
    arn = aws_sqs_queue.not_handed_on.arn
  }
}

resource "aws_iam_role" "hands_on" {
  name        = "holdfast-hands-on-${local.region}"
  description = "Puts events of the witness's bus on those of the data Regions"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "events.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "hands_on" {
  name = "what-it-calls"
  role = aws_iam_role.hands_on.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "events:PutEvents", Resource = local.peer.buses }]
  })
}

resource "aws_sqs_queue" "not_handed_on" {
  name                      = "holdfast-not-handed-on"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "not_handed_on" {
  queue_url = aws_sqs_queue.not_handed_on.url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "WhatCouldNotBeHandedOn"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.not_handed_on.arn
      Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.to_data_regions.arn } }
    }]
  })
}

resource "aws_cloudwatch_metric_alarm" "not_handed_on" {
  alarm_name          = "holdfast-not-handed-on"
  alarm_description   = "An event did not reach a data Region's bus. That Region is dark, or a policy keeps it out."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.not_handed_on.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.pages.arn]
}
