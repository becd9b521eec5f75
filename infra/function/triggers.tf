# What starts a function. Each target has the function's queue for what EventBridge cannot deliver.

resource "aws_cloudwatch_event_rule" "schedule" {
  count = var.schedule == null ? 0 : 1

  name                = local.function
  description         = "${local.function} looks by itself: events can get lost, and a schedule costs a minute at most"
  schedule_expression = var.schedule
  state               = var.schedule_sleeps ? "DISABLED" : "ENABLED"
}

resource "aws_cloudwatch_event_target" "schedule" {
  count = var.schedule == null ? 0 : 1

  rule = aws_cloudwatch_event_rule.schedule[0].name
  arn  = aws_lambda_alias.live.arn

  retry_policy {
    # The next one comes by itself; a late look at an old minute is of no use.
    maximum_event_age_in_seconds = 60
    maximum_retry_attempts       = 2
  }
  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }
}

resource "aws_lambda_permission" "schedule" {
  count = var.schedule == null ? 0 : 1

  statement_id  = "schedule"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this.function_name
  qualifier     = aws_lambda_alias.live.name
  principal     = "events.amazonaws.com"
  # Confused deputy: this rule and no other.
  source_arn = aws_cloudwatch_event_rule.schedule[0].arn
}

resource "aws_cloudwatch_event_rule" "event" {
  for_each = var.rules

  name           = "${local.function}-${each.key}"
  description    = "Starts ${local.function}"
  event_bus_name = each.value.bus
  event_pattern  = each.value.pattern
}

resource "aws_cloudwatch_event_target" "event" {
  for_each = var.rules

  rule           = aws_cloudwatch_event_rule.event[each.key].name
  event_bus_name = each.value.bus
  arn            = aws_lambda_alias.live.arn

  retry_policy {
    maximum_event_age_in_seconds = var.event_age_max_seconds
    maximum_retry_attempts       = 185 # EventBridge's own bound; the age ends it sooner.
  }
  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }
}

resource "aws_lambda_permission" "event" {
  for_each = var.rules

  statement_id  = "event-${each.key}"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this.function_name
  qualifier     = aws_lambda_alias.live.name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.event[each.key].arn
}
