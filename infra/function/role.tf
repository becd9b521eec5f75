# One role for each function and Region. IAM is global and its control plane is in us-east-1: nothing here is
# changed during an outage, and the data plane that checks these policies is in each Region.

resource "aws_iam_role" "this" {
  name        = "${local.function}-${var.region}"
  description = "What ${local.function} may do in ${var.region}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
      # Confused deputy: only this function's own environments may take the role.
      Condition = {
        StringEquals = { "aws:SourceAccount" = var.account }
        ArnLike      = { "aws:SourceArn" = "arn:aws:lambda:${var.region}:${var.account}:function:${local.function}*" }
      }
    }]
  })
}

locals {
  # What Lambda does in the function's name, whichever function it is.
  runs = [
    {
      actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
    },
    {
      # The on-failure destination is written with the function's own role.
      actions   = ["sqs:SendMessage"]
      resources = [aws_sqs_queue.dead_letters.arn]
    },
  ]

  # Network interfaces of a function in a VPC. EC2 knows no resource for the describing ones, and Lambda asks for all
  # of them before an interface exists that could be named.
  attaches = var.network == null ? [] : [
    {
      actions = [
        "ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
        "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
      ]
      resources = ["*"]
    },
  ]

  # The code itself may not use what only Lambda needs: without this a function could attach interfaces at will.
  # `lambda:SourceFunctionArn` is in a request only when the function's own code has made it.
  never = concat(
    var.network == null ? [] : [
      {
        actions   = local.attaches[0].actions
        resources = ["*"]
        when      = { ArnEquals = { "lambda:SourceFunctionArn" = ["arn:aws:lambda:${var.region}:${var.account}:function:${local.function}"] } }
      },
    ],
    var.never,
  )
}

resource "aws_iam_role_policy" "this" {
  name = "what-it-calls"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [for it in concat(local.runs, local.attaches) : { Effect = "Allow", Action = it.actions, Resource = it.resources }],
      [for it in var.may : merge(
        { Effect = "Allow", Action = it.actions, Resource = it.resources },
        length(it.when) == 0 ? {} : { Condition = it.when },
      )],
      [for it in local.never : merge(
        { Effect = "Deny", Action = it.actions, Resource = it.resources },
        length(it.when) == 0 ? {} : { Condition = it.when },
      )],
    )
  })
}
