# Many files of a card network at once: after an outage several days' files lie there, and each run takes one.
#
#   aws stepfunctions start-execution --region <Region> --state-machine-arn <arn> \
#     --input '{"objects":["holdfast/clearing/stripe/2026-11-24.csv","holdfast/clearing/adyen/batch_12.csv"]}'

resource "aws_sfn_state_machine" "ledger_fan_out" {
  #checkov:skip=CKV_AWS_285:The functions log each run; the state machine adds only the order, and Step Functions keeps that for 90 days.
  #checkov:skip=CKV_AWS_284:Tracing would put X-Ray's API on the path of an outage.
  name     = "holdfast-reconcile-ledger-fan-out"
  role_arn = aws_iam_role.ledger_fan_out.arn

  definition = jsonencode({
    Comment = "Reconciles the ledger with each of the given files, three at a time."
    StartAt = "EachFile"
    States = {
      EachFile = {
        Type           = "Map"
        ItemsPath      = "$.objects"
        MaxConcurrency = 3 # Reserved concurrency is 5, and the minute's own look must get in.
        ItemSelector   = { action = "reconcile", pass = "clearing", "object.$" = "$$.Map.Item.Value" }
        End            = true
        ItemProcessor = {
          ProcessorConfig = { Mode = "INLINE" }
          StartAt         = "Reconcile"
          States = {
            Reconcile = {
              Type           = "Task"
              Resource       = "arn:aws:states:::lambda:invoke"
              Parameters     = { FunctionName = module.reconcile_ledger.live_arn, "Payload.$" = "$" }
              OutputPath     = "$.Payload"
              TimeoutSeconds = 930 # The function's own 900 s and a moment.
              # A file that was settled before is not taken again, so trying twice is safe.
              Retry = [{
                ErrorEquals     = ["Lambda.TooManyRequestsException", "Lambda.ServiceException", "Lambda.SdkClientException"]
                IntervalSeconds = 5, MaxAttempts = 6, BackoffRate = 2
              }]
              # One bad file must not end the others: what became of it is in the answer.
              Catch = [{ ErrorEquals = ["States.ALL"], Next = "Unknown", ResultPath = "$.unknown" }]
              End   = true
            }
            Unknown = { Type = "Pass", End = true }
          }
        }
      }
    }
  })
}

resource "aws_iam_role" "ledger_fan_out" {
  name        = "holdfast-reconcile-ledger-fan-out-${local.region}"
  description = "Starts reconcile-ledger for each of many files"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "states.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:aws:states:${local.region}:${local.account}:stateMachine:holdfast-*" }
      }
    }]
  })
}

resource "aws_iam_role_policy" "ledger_fan_out" {
  name = "what-it-calls"
  role = aws_iam_role.ledger_fan_out.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "lambda:InvokeFunction", Resource = module.reconcile_ledger.live_arn }]
  })
}

# One file that takes more than one invocation: its shards side by side, and one report over all of them.
#
#   aws stepfunctions start-execution --region <Region> --state-machine-arn <arn> \
#     --input '{"object":"holdfast/clearing/adyen/batch_12.csv","slices":4}'

resource "aws_sfn_state_machine" "ledger_shards" {
  #checkov:skip=CKV_AWS_285:The functions log each run; the state machine adds only the order, and Step Functions keeps that for 90 days.
  #checkov:skip=CKV_AWS_284:Tracing would put X-Ray's API on the path of an outage.
  name       = "holdfast-reconcile-ledger-shards"
  role_arn   = aws_iam_role.ledger_shards.arn
  definition = templatefile("${path.module}/../step-functions/reconcile-ledger.asl.json", { ReconcileLedgerArn = module.reconcile_ledger.live_arn })
}

resource "aws_iam_role" "ledger_shards" {
  name        = "holdfast-reconcile-ledger-shards-${local.region}"
  description = "Starts reconcile-ledger for each shard of a large file"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "states.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:aws:states:${local.region}:${local.account}:stateMachine:holdfast-*" }
      }
    }]
  })
}

resource "aws_iam_role_policy" "ledger_shards" {
  name = "what-it-calls"
  role = aws_iam_role.ledger_shards.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = "lambda:InvokeFunction", Resource = module.reconcile_ledger.live_arn },
      # A distributed map runs its items as executions of the same state machine.
      {
        Effect   = "Allow"
        Action   = "states:StartExecution"
        Resource = "arn:aws:states:${local.region}:${local.account}:stateMachine:holdfast-reconcile-ledger-shards"
      },
      {
        Effect   = "Allow"
        Action   = ["states:DescribeExecution", "states:StopExecution"]
        Resource = "arn:aws:states:${local.region}:${local.account}:execution:holdfast-reconcile-ledger-shards/*"
      },
    ]
  })
}
