# What a function could not handle is kept, and somebody is told.

# One queue for all three ways to lose an event: the function failed, EventBridge could not start it, SNS could not.
resource "aws_sqs_queue" "dead_letters" {
  name = "${local.function}-dead-letters"

  # The longest that SQS keeps anything: whoever comes back from an outage must still find it.
  message_retention_seconds = 1209600

  # Lambda asks for six times the reader's time-out; page-humans, which may read it, has 60 s.
  visibility_timeout_seconds = 360

  # SQS's own key: a customer's key that is lost would lose the letters with it.
  sqs_managed_sse_enabled = true
}

data "aws_iam_policy_document" "dead_letters" {
  statement {
    sid       = "ServicesThatCouldNotStartTheFunction"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.dead_letters.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com", "sns.amazonaws.com"]
    }
    # Confused deputy: these services act for every customer of AWS, and only ours may write here.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account]
    }
  }

  statement {
    sid       = "NothingInTheClear"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.dead_letters.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.url
  policy    = data.aws_iam_policy_document.dead_letters.json
}

# Lambda tries a failed event again after one minute and after two more, and then it is here with its error.
# An unqualified invocation has settings of its own, so both are named.
resource "aws_lambda_function_event_invoke_config" "this" {
  for_each = toset(["live", "$LATEST"])

  function_name          = aws_lambda_function.this.function_name
  qualifier              = each.key
  maximum_retry_attempts = 2

  # Six hours is Lambda's longest. What is older is answered by the schedule, which looks at the state itself.
  maximum_event_age_in_seconds = var.event_age_max_seconds

  destination_config {
    on_failure {
      destination = aws_sqs_queue.dead_letters.arn
    }
  }

  depends_on = [aws_lambda_alias.live, aws_iam_role_policy.this]
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name        = "${local.function}-dead-letters"
  alarm_description = "Something that ${local.function} should have handled lies in its dead-letter queue. Read it, mend the cause, send it again."
  namespace         = "AWS/SQS"
  metric_name       = "ApproximateNumberOfMessagesVisible"
  dimensions        = { QueueName = aws_sqs_queue.dead_letters.name }
  statistic         = "Maximum"
  period            = 60

  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0

  # SQS stops its metrics for a queue that was not used for hours: then it is empty.
  treat_missing_data = "notBreaching"

  # SNS by itself, and page-humans for every other channel: it knows the name, and says how to read the queue.
  alarm_actions = [var.page_topic_arn, "arn:aws:lambda:${var.region}:${var.account}:function:holdfast-page-humans:live"]
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name        = "${local.function}-errors"
  alarm_description = "${local.function} failed in three of five minutes. Its log says why: ${aws_cloudwatch_log_group.this.name}"
  namespace         = "AWS/Lambda"
  metric_name       = "Errors"
  # The alias alone: a run by hand of newer code is not what protects anybody.
  dimensions = { FunctionName = aws_lambda_function.this.function_name, Resource = "${local.function}:live" }
  statistic  = "Sum"
  period     = 60

  evaluation_periods  = 5
  datapoints_to_alarm = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0

  # No runs, no errors; that there were no runs is the next alarm's.
  treat_missing_data = "notBreaching"
  alarm_actions      = [var.page_topic_arn]
}

# Absence is unknown: a function that does not run protects nobody, and no error says so.
resource "aws_cloudwatch_metric_alarm" "silent" {
  count = var.silent_after_minutes == null ? 0 : 1

  alarm_name        = "${local.function}-silent"
  alarm_description = "${local.function} has not run for ${coalesce(var.silent_after_minutes, 0)} minutes, although it is scheduled. Look at its rule, its concurrency and its alias."
  namespace         = "AWS/Lambda"
  metric_name       = "Invocations"
  dimensions        = { FunctionName = aws_lambda_function.this.function_name, Resource = "${local.function}:live" }
  statistic         = "Sum"
  period            = 60

  evaluation_periods  = coalesce(var.silent_after_minutes, 1)
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [var.page_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "throttles" {
  alarm_name        = "${local.function}-throttles"
  alarm_description = "${local.function} was asked to run more often at once than it may; its reserved concurrency is ${var.runs_at_once}."
  namespace         = "AWS/Lambda"
  metric_name       = "Throttles"
  dimensions        = { FunctionName = aws_lambda_function.this.function_name }
  statistic         = "Sum"
  period            = 60

  evaluation_periods  = 5
  datapoints_to_alarm = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.page_topic_arn]
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:The log is what explains an outage; with a customer's key a mistake in a key policy would end it in silence. It holds no secret.
  name              = "/aws/lambda/${local.function}"
  retention_in_days = var.log_retention_days
}
