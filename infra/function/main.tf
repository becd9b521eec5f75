# One function of Holdfast with everything that belongs to it: role, log, queue, alias, triggers, alarms.
# The block that calls this module is the whole description of a function; tests/drill/tests/infra.rs reads it.

locals {
  function = "holdfast-${var.name}"
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:Tracing would put X-Ray's API on the path of an outage; each step is in the log and in the coordination table.
  #checkov:skip=CKV_AWS_116:The on-failure destination below carries the error beside the payload; a dead-letter target would send each failure twice.
  #checkov:skip=CKV_AWS_173:HOLDFAST_CONFIG holds names and no secret; with a customer's key a cold start would depend on KMS during an outage.
  #checkov:skip=CKV_AWS_272:Delivery compares the hash of the code in every Region with the one that was built; a signing profile lives in one Region.
  function_name = local.function
  description   = var.does
  role          = aws_iam_role.this.arn

  # An OS-only runtime: Rust brings its own binary, which must be called `bootstrap`.
  runtime       = "provided.al2023"
  handler       = "bootstrap"
  architectures = [var.architecture]

  # The first code only; from then on delivery publishes versions (see lifecycle).
  filename         = "${var.zips}/${var.name}.zip"
  source_code_hash = filebase64sha256("${var.zips}/${var.name}.zip")
  publish          = true

  timeout     = var.timeout_seconds
  memory_size = var.memory_mb

  # It caps one function in one Region. It is no lock and does not reach across Regions: the epoch does that.
  reserved_concurrent_executions = var.runs_at_once

  ephemeral_storage {
    size = var.scratch_mb
  }

  environment {
    variables = { HOLDFAST_CONFIG = var.holdfast_config }
  }

  logging_config {
    log_format = "Text" # The functions write JSON themselves; Lambda would wrap it a second time.
    log_group  = aws_cloudwatch_log_group.this.name
  }

  dynamic "vpc_config" {
    for_each = var.network[*]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  lifecycle {
    # What runs is delivery's: an apply must not put yesterday's code back in the middle of a roll-out.
    ignore_changes = [filename, source_code_hash, s3_bucket, s3_key]

    precondition {
      # Lambda: all variables of a function together, names and values, have at most 4 KB.
      condition     = length(var.holdfast_config) + length("HOLDFAST_CONFIG") <= 4096
      error_message = "HOLDFAST_CONFIG has ${length(var.holdfast_config)} bytes and Lambda takes 4 KB; shorten the configuration."
    }
  }

  # Without its permissions the first run would fail and be paged.
  depends_on = [aws_iam_role_policy.this]
}

# Every trigger names the alias. Delivery shifts it; whoever invokes by hand without `:live` gets the newest code.
resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "What alarms, events and schedules start"
  function_name    = aws_lambda_function.this.function_name
  function_version = aws_lambda_function.this.version

  lifecycle {
    # Delivery moves it, in steps, and moves it back.
    ignore_changes = [function_version, routing_config]
  }
}
