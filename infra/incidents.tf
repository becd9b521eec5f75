# Never undo a failover: what is under way is read before anything is planned, through the witness Region's replica.
#
# A freeze stops every plan. An open incident stops only what would touch the ledger, and that is judged by the program
# `check-plan`, which reads the finished plan and this record in it (infra/README.md): Terraform's own conditions cannot
# see what a plan is about to change.

data "aws_dynamodb_table_item" "incidents" {
  provider = aws.witness
  count    = var.incidents == "read" ? 1 : 0

  table_name = local.topology.coordination_table
  key = jsonencode({
    pk = { S = "cluster#${local.topology.global_cluster}" }
    sk = { S = "state" }
  })
}

locals {
  # The record that all drivers share; `body` is JSON in a string (shared/domain/src/incident.rs, ClusterState).
  record = var.incidents == "read" ? jsondecode(jsondecode(data.aws_dynamodb_table_item.incidents[0].item).body.S) : null
  freeze = try(local.record.freeze, null)
}

resource "terraform_data" "nobody_has_frozen_holdfast" {
  lifecycle {
    precondition {
      condition     = local.freeze == null
      error_message = "${try(local.freeze.by, "Somebody")} has frozen Holdfast: ${try(local.freeze.reason, "no reason")}. Nothing is applied until `{\"action\":\"unfreeze\"}`."
    }
  }
}
