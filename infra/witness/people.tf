# The same people as in the data Regions, by another way.

resource "aws_sns_topic" "pages" {
  #checkov:skip=CKV_AWS_26:A page names no card and no secret; with a customer's key a mistake in its policy would keep alarms from people in silence.
  name         = reverse(split(":", local.here.topic))[0]
  display_name = "Holdfast"

  lifecycle {
    postcondition {
      # Another account's number in the file, and every page would go to a topic that is not there.
      condition     = self.arn == local.here.topic
      error_message = "The configuration names ${local.here.topic}, and the topic is ${self.arn}; mend page_topic_arn."
    }
  }
}

resource "aws_sns_topic_policy" "pages" {
  arn = aws_sns_topic.pages.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AlarmsOfThisAccount"
      Effect    = "Allow"
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.pages.arn
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_sns_topic_subscription" "people" {
  for_each = {
    for it in flatten([for protocol, addresses in var.platform.people : [
      for address in addresses : { protocol = protocol, address = address }
    ]]) : "${it.protocol} ${it.address}" => it
  }

  topic_arn = aws_sns_topic.pages.arn
  protocol  = each.value.protocol
  endpoint  = each.value.address
}
