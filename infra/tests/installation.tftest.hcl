# What must hold of every installation, planned against a mocked AWS: nothing here needs an account.
# `make infra-check` gives `zips`, a directory with a file for each function.

mock_provider "aws" {
  alias = "first"
  mock_data "aws_region" { defaults = { name = "eu-west-1" } }
  mock_data "aws_caller_identity" { defaults = { account_id = "123456789012" } }
  mock_data "aws_availability_zones" { defaults = { names = ["a", "b", "c", "d"] } }
  mock_data "aws_ip_ranges" { defaults = { cidr_blocks = ["192.0.2.0/26"] } }
  mock_data "aws_iam_policy_document" { defaults = { json = "{}" } }
}

mock_provider "aws" {
  alias = "second"
  mock_data "aws_region" { defaults = { name = "eu-west-2" } }
  mock_data "aws_caller_identity" { defaults = { account_id = "123456789012" } }
  mock_data "aws_availability_zones" { defaults = { names = ["a", "b", "c", "d"] } }
  mock_data "aws_ip_ranges" { defaults = { cidr_blocks = ["192.0.2.0/26"] } }
  mock_data "aws_iam_policy_document" { defaults = { json = "{}" } }
}

mock_provider "aws" {
  alias = "witness"
  mock_data "aws_region" { defaults = { name = "eu-central-1" } }
  mock_data "aws_caller_identity" { defaults = { account_id = "123456789012" } }
  mock_data "aws_iam_policy_document" { defaults = { json = "{}" } }
}

mock_provider "aws" {
  alias = "us_east_1"
}

variables {
  config_file    = "../events/config.example.json"
  people         = { email = ["oncall@example.com"] }
  service_domain = "payments.example.com"
  hosted_zone    = "example.com"
  service_image  = "example.com/payments:1"
  incidents      = "none-yet"

  ledger_master_password = "given on the first apply alone"
}

run "everything_is_planned_with_nothing_left_out" {
  command = plan

  assert {
    condition     = output.places == { first = "eu-west-1", second = "eu-west-2", witness = "eu-central-1" }
    error_message = "The Regions are those of the configuration file."
  }
}

run "both_data_regions_are_alike" {
  command = plan
  variables {
    # So that HOLDFAST_CONFIG is known before anything is made: endpoints and load balancers are named by AWS.
    left_out = ["ledger", "service"]
  }

  assert {
    condition     = output.regions.first == output.regions.second
    error_message = "Time-outs, memory, concurrency, environment, code, alarms, queues and rules of the two data Regions differ."
  }
  assert {
    condition     = length(output.regions.first) == 8 && length(output.regions.witness) == 2
    error_message = "A function is missing in an output; add it there, too."
  }
  assert {
    # The witness reads the very text that the data Regions read.
    condition = alltrue(flatten([for region in values(output.regions) : [
      for it in values(region) : it.environment == output.regions.first["observe-region"].environment
    ]]))
    error_message = "Functions read different configurations."
  }
  assert {
    condition     = jsondecode(output.regions.first["observe-region"].environment.HOLDFAST_CONFIG) == jsondecode(file("../events/config.example.json"))
    error_message = "What the functions read is not what the file says."
  }
}

run "every_function_is_watched_and_loses_nothing" {
  command = plan
  variables {
    left_out = ["ledger"]
  }

  assert {
    condition = alltrue(flatten([for region in values(output.regions) : [
      for name, it in region : length(setintersection(it.alarms, [for kind in ["dead-letters", "errors", "throttles"] : "holdfast-${name}-${kind}"])) == 3
    ]]))
    error_message = "A function lacks one of its three alarms."
  }
  assert {
    condition = alltrue(flatten([for region in values(output.regions) : [
      for name, it in region : it.on_failure == { live = 1, "$LATEST" = 1 } && it.dead_letter == "holdfast-${name}-dead-letters"
    ]]))
    error_message = "A function lacks an on-failure destination or its queue."
  }
  assert {
    condition     = alltrue(flatten([for region in values(output.regions) : [for it in values(region) : it.retention == 365]]))
    error_message = "A log is kept for ever, or not for a year."
  }
  assert {
    condition = alltrue(flatten([for region in values(output.regions) : [
      for name, it in region : alltrue([for rule in it.rules : rule == "holdfast-${name}" || startswith(rule, "holdfast-${name}-")])
    ]]))
    error_message = "A rule is not named after its function."
  }
  assert {
    condition = alltrue(flatten([for region in values(output.regions) : [
      for name, it in region : contains(it.alarms, "holdfast-${name}-silent") if !contains(["reconcile-receipts", "check-readiness"], name)
    ]]))
    error_message = "A function that runs every minute has no alarm for its silence."
  }
}

run "the_regions_are_those_of_another_file_without_another_line_of_code" {
  command = plan
  variables {
    left_out      = ["ledger", "service", "routing"]
    network_cidrs = { "eu-west-1" = "10.90.0.0/16" }
  }

  assert {
    condition     = module.first.front_door == null && module.second.front_door == null
    error_message = "A service that is left out has no front door."
  }
}

run "a_freeze_stops_every_plan" {
  command = plan
  variables {
    incidents = "read"
    left_out  = ["ledger", "service", "routing"]
  }
  override_data {
    target = data.aws_dynamodb_table_item.incidents[0]
    values = {
      item = "{\"body\":{\"S\":\"{\\\"version\\\":3,\\\"epoch\\\":0,\\\"freeze\\\":{\\\"by\\\":\\\"grace@example.com\\\",\\\"reason\\\":\\\"schema migration\\\",\\\"at\\\":\\\"2026-11-24T15:00:00Z\\\"}}\"}}"
    }
  }
  expect_failures = [terraform_data.nobody_has_frozen_holdfast]
}

run "a_plan_goes_on_when_nobody_has_frozen_it" {
  command = plan
  variables {
    incidents = "read"
    left_out  = ["ledger", "service", "routing"]
  }
  override_data {
    target = data.aws_dynamodb_table_item.incidents[0]
    values = {
      item = "{\"body\":{\"S\":\"{\\\"version\\\":4,\\\"epoch\\\":0,\\\"freeze\\\":null}\"}}"
    }
  }

  assert {
    condition     = local.freeze == null
    error_message = "A record without a freeze is taken for a frozen one."
  }
}

run "what_cannot_be_left_out_is_named" {
  command = plan
  variables {
    left_out = ["paging"]
  }
  expect_failures = [var.left_out]
}

run "a_promoter_of_a_global_database_may_neither_promote_a_replica_nor_restore" {
  command = plan
  variables {
    left_out = ["service", "routing"]
  }

  assert {
    condition = alltrue([for it in [module.first.promote_aurora.may, module.second.promote_aurora.may] :
      length(setintersection(keys(it), ["rds:PromoteReadReplicaDBCluster", "rds:RestoreDBClusterFromSnapshot", "rds:CreateDBInstance"])) == 0
    ])
    error_message = "promote-aurora may do what its strategy does not need."
  }
  assert {
    condition     = module.second.promote_aurora.may["rds:FailoverGlobalCluster"] == tolist(["arn:aws:rds::123456789012:global-cluster:payments-global", "arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2"])
    error_message = "promote-aurora may not fail the global database over to its own cluster, or may more."
  }
}

run "a_promoter_of_a_read_replica_may_promote_its_own_and_fails_no_global_database_over" {
  command = plan
  variables {
    config_file = "${var.zips}/read_replica.json"
    left_out    = ["ledger", "service", "routing"]
  }

  assert {
    condition     = module.second.promote_aurora.may["rds:PromoteReadReplicaDBCluster"] == tolist(["arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2"])
    error_message = "promote-aurora may not promote its own Region's replica, or may promote another."
  }
  assert {
    condition = length(setintersection(
      keys(module.second.promote_aurora.may),
      ["rds:FailoverGlobalCluster", "rds:SwitchoverGlobalCluster", "rds:CopyDBClusterSnapshot", "rds:RestoreDBClusterFromSnapshot", "rds:CreateDBInstance", "kms:CreateGrant"],
    )) == 0
    error_message = "promote-aurora may do what its strategy does not need."
  }
}

run "a_promoter_that_restores_may_make_one_cluster_and_its_one_instance" {
  command = plan
  variables {
    config_file = "${var.zips}/restore_from_snapshot.json"
    left_out    = ["ledger", "service", "routing"]
  }

  assert {
    condition = module.second.promote_aurora.may["rds:RestoreDBClusterFromSnapshot"] == sort([
      "arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2",
      "arn:aws:rds:eu-west-2:123456789012:cluster-snapshot:*",
      "arn:aws:rds:eu-west-2:123456789012:subgrp:ledger",
      "arn:aws:rds:eu-west-2:123456789012:cluster-pg:default.*",
      "arn:aws:rds:eu-west-2:123456789012:pg:default.*",
      "arn:aws:rds:eu-west-2:123456789012:og:default:*",
    ])
    error_message = "promote-aurora may not restore the one cluster of the configured name, or may more."
  }
  assert {
    condition = [for it in module.second.promote_aurora.may["rds:CreateDBInstance"] : it if strcontains(it, ":db:") || strcontains(it, ":cluster:")] == [
      "arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2",
      "arn:aws:rds:eu-west-2:123456789012:db:payments-eu-west-2-1",
    ]
    error_message = "promote-aurora may not create the restored cluster's one instance, or may create another."
  }
  assert {
    condition     = contains(module.second.promote_aurora.may["rds:DescribeDBClusterSnapshots"], "arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-1")
    error_message = "promote-aurora may not look for the copies of the other cluster's snapshots in its own Region."
  }
  assert {
    condition = length(setintersection(
      keys(module.second.promote_aurora.may),
      ["rds:FailoverGlobalCluster", "rds:SwitchoverGlobalCluster", "rds:CopyDBClusterSnapshot", "rds:PromoteReadReplicaDBCluster"],
    )) == 0
    error_message = "promote-aurora may do what its strategy does not need."
  }
}

run "without_a_global_database_the_ledger_is_not_made_here" {
  command = plan
  variables {
    config_file = "${var.zips}/restore_from_snapshot.json"
  }
  expect_failures = [var.left_out]
}
