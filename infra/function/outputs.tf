output "live_arn" {
  description = "The alias that triggers name."
  value       = aws_lambda_alias.live.arn
}

output "alias" {
  description = "The alias's name, once it is there: a permission or an address for it must not come before it."
  value       = aws_lambda_alias.live.name
}

output "name" {
  description = "The function's name in AWS."
  value       = aws_lambda_function.this.function_name
}

output "dead_letters_arn" {
  description = "Its dead-letter queue, for subscriptions that are made elsewhere."
  value       = aws_sqs_queue.dead_letters.arn
}

output "may" {
  description = "What it is allowed: each action with what it is allowed on."
  value = { for action in distinct(flatten(var.may[*].actions)) :
    action => sort(distinct(flatten([for it in var.may : it.resources if contains(it.actions, action)])))
  }
}

output "described" {
  description = "What must be the same in both Regions, for the test that compares them."
  value = {
    timeout     = aws_lambda_function.this.timeout
    memory      = aws_lambda_function.this.memory_size
    concurrency = aws_lambda_function.this.reserved_concurrent_executions
    environment = aws_lambda_function.this.environment[0].variables
    code        = aws_lambda_function.this.source_code_hash
    retention   = aws_cloudwatch_log_group.this.retention_in_days
    alarms = sort(concat(
      [aws_cloudwatch_metric_alarm.dead_letters.alarm_name, aws_cloudwatch_metric_alarm.errors.alarm_name, aws_cloudwatch_metric_alarm.throttles.alarm_name],
      aws_cloudwatch_metric_alarm.silent[*].alarm_name,
    ))
    on_failure  = { for qualifier, it in aws_lambda_function_event_invoke_config.this : qualifier => length(it.destination_config[0].on_failure) }
    dead_letter = aws_sqs_queue.dead_letters.name
    rules       = sort(concat(aws_cloudwatch_event_rule.schedule[*].name, [for rule in aws_cloudwatch_event_rule.event : rule.name]))
  }
}
