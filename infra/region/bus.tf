# Where the functions of this Region meet.

resource "aws_cloudwatch_event_bus" "holdfast" {
  name        = local.topology.event_bus
  description = "Events of Holdfast's functions in this Region"
}

# Functions of the other Regions put events here with their own roles; the witness's bus hands on with one of its own.
# All are roles of this account, so their policies are enough and the bus has none that could let somebody else in.

# What goes wrong is looked into days later: events are kept and can be played again, here alone.
resource "aws_cloudwatch_event_archive" "holdfast" {
  name             = "holdfast"
  description      = "What the functions told each other"
  event_source_arn = aws_cloudwatch_event_bus.holdfast.arn
  retention_days   = var.platform.log_retention_days
}
