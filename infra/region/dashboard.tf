# One for each Region. Its first row answers: could we fail over to here right now, and what would it cost?
# Every metric of `Holdfast` is one that a function really emits; tests/drill/tests/infra.rs looks for each in the code.

locals {
  cluster = reverse(split(":", local.own.cluster_arn))[0]
  # CloudWatch's own words for each kind of widget.
  number = { view = "singleValue", region = local.region, period = 60, sparkline = true }
  line   = { view = "timeSeries", region = local.region, period = 60 }

  rows = [
    # Could we fail over to here right now?
    [
      { title = "Ledger: how far this copy is behind, ms (what a failover would lose)", of = local.number, metrics = [
        ["Holdfast", "LedgerLag", "Region", local.region, { stat = "Maximum", label = "as measured by SQL" }],
        ["AWS/RDS", "AuroraGlobalDBRPOLag", "DBClusterIdentifier", local.cluster, "SourceRegion", local.peer.region, { stat = "Maximum", label = "as measured by AWS" }],
      ] },
      { title = "In sync, to here: 1 is yes, 0 is no, nothing is unknown", of = local.number, metrics = [
        for store in ["ledger", "attempts", "receipts"] :
        ["Holdfast", "InSync", "Store", store, "From", local.peer.region, "To", local.region, { stat = "Minimum", label = store }]
      ] },
      { title = "The other Region, seen from here and from the witness: failed probes in a row", of = local.number, metrics = [
        for observer in [local.region, local.witness.region] :
        ["Holdfast", "LivenessFailures", "Observer", observer, "Subject", local.peer.region, { stat = "Maximum", label = "liveness, from ${observer}", region = observer }]
      ] },
      { title = "What it would cost: attempts in doubt, payments lost at the last count", of = local.number, metrics = [
        ["Holdfast", "AttemptsInDoubt", "Function", "reconcile-ledger", "Region", local.region, "Pass", "now", { stat = "Maximum" }],
        ["Holdfast", "PaymentsLost", "Function", "reconcile-ledger", "Region", local.region, "Pass", "now", { stat = "Maximum" }],
      ] },
    ],
    # Would writes work, and how long did it take the last time?
    [
      { title = "Write readiness: failed probes in a row", of = local.line, metrics = [
        for subject in [local.region, local.peer.region] :
        ["Holdfast", "WriteReadinessFailures", "Observer", local.region, "Subject", subject, { stat = "Maximum", label = subject }]
      ] },
      { title = "Writes restored after, ms", of = local.number, metrics = [
        for verb in ["failover", "switchover"] :
        ["Holdfast", "WritesRestoredAfter", "Region", local.region, "Verb", verb, { stat = "Maximum", label = verb, period = 86400 }]
      ] },
      { title = "Functions: runs", of = local.line, metrics = [
        for name in ["observe-region", "promote-aurora", "verify-replication", "page-humans"] :
        ["AWS/Lambda", "Invocations", "FunctionName", "holdfast-${name}", "Resource", "holdfast-${name}:live", { stat = "Sum", label = name }]
      ] },
      { title = "Functions: errors", of = local.line, metrics = [
        for name in ["observe-region", "promote-aurora", "verify-replication", "reconcile-ledger", "reconcile-receipts", "page-humans", "shift-traffic", "check-readiness"] :
        ["AWS/Lambda", "Errors", "FunctionName", "holdfast-${name}", "Resource", "holdfast-${name}:live", { stat = "Sum", label = name }]
      ] },
    ],
    # Each store, each way.
    [
      for store in ["ledger", "attempts", "receipts"] :
      { title = "${store}: lag each way, ms; a gap is unknown", of = local.line, metrics = concat(
        [for way in [[local.region, local.peer.region], [local.peer.region, local.region]] :
        ["Holdfast", "ReplicationLag", "Store", store, "From", way[0], "To", way[1], { stat = "Maximum", label = "${way[0]} to ${way[1]}" }]],
        [for state in ["Stalled", "Lagging", "ReplicationUnknown"] :
        ["Holdfast", state, "Store", store, "From", local.peer.region, "To", local.region, { stat = "Maximum", label = state }]],
        [["Holdfast", "SecondsUntilReplicaIsRemoved", "Store", store, "From", local.peer.region, "To", local.region, { stat = "Minimum", label = "seconds until AWS removes the replica" }]],
      ) }
    ],
    # Afterwards: what is left to do.
    [
      { title = "Receipts at the last comparison", of = local.line, metrics = [
        for class in ["ReceiptsPending", "ReceiptsCopyToDublin", "ReceiptsCopyToLondon", "ReceiptsDeletePropagates", "ReceiptsConflict", "ReceiptsUncheckable", "ReceiptsErased", "ReceiptsFailed", "ReceiptsDone"] :
        ["Holdfast", class, "Region", local.region, { stat = "Maximum", label = class }]
      ] },
      { title = "Ledger against the card network's file", of = local.line, metrics = [
        for metric in ["PaymentsLost", "AttemptsInDoubt", "OtherBreaks", "EntriesProposed", "Unbalanced", "ReconciliationUnknown"] :
        ["Holdfast", metric, "Function", "reconcile-ledger", "Region", local.region, "Pass", "clearing", { stat = "Maximum", label = metric }]
      ] },
      { title = "Readiness: findings, and reads that failed", of = local.line, metrics = [
        for metric in ["ReadinessFindings", "ReadinessUnknown"] :
        ["Holdfast", metric, "Region", local.region, { stat = "Maximum", label = metric, period = 3600 }]
      ] },
      { title = "Dead letters", of = local.line, metrics = [
        for name in ["observe-region", "promote-aurora", "verify-replication", "reconcile-ledger", "reconcile-receipts", "page-humans", "shift-traffic", "check-readiness"] :
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "holdfast-${name}-dead-letters", { stat = "Maximum", label = name }]
      ] },
    ],
  ]
}

resource "aws_cloudwatch_dashboard" "holdfast" {
  dashboard_name = "holdfast-${local.region}" # Dashboards are global in name, and are read through any Region.

  dashboard_body = jsonencode({
    start          = "-PT3H"
    periodOverride = "inherit"
    widgets = flatten([for y, row in local.rows : [for x, widget in row : {
      type       = "metric"
      x          = x * floor(24 / length(row))
      y          = y * 6
      width      = floor(24 / length(row))
      height     = 6
      properties = merge(widget.of, { title = widget.title, metrics = widget.metrics })
    }]])
  })
}
