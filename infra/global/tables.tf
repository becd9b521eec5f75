# The coordination table and the table of attempts, with multi-Region strong consistency (MRSC) in all three Regions.
#
# Through CloudFormation, because the provider in its version 5 does not know MRSC: `aws_dynamodb_table` has `replica`
# blocks without a consistency, and the mode of a table can never be changed once it is made. Version 6 of the provider
# has `consistency_mode`; the tables can be imported there without being touched.
#
# The stack lives in the first data Region. While that is dark the stack cannot be changed, and nothing needs it to be:
# a table does not know the stack that made it.

locals {
  tables = merge(
    { coordination = local.topology.coordination_table },
    contains(var.platform.left_out, "attempts") ? {} : { attempts = local.topology.attempts.table },
  )

  global = contains(var.platform.left_out, "global_tables") ? {} : local.tables
  # Never in an account: each Region would find itself alone, and both could promote.
  apart = contains(var.platform.left_out, "global_tables") ? local.tables : {}
}

resource "aws_cloudformation_stack" "table" {
  #checkov:skip=CKV_AWS_124:Whoever applies sees how it ended, and nobody changes a table at night.
  provider = aws.first
  for_each = local.global

  name = "holdfast-table-${each.key}"

  template_body = jsonencode({
    AWSTemplateFormatVersion = "2010-09-09"
    Description              = "A DynamoDB global table with multi-Region strong consistency"
    Resources = {
      Table = {
        Type = "AWS::DynamoDB::GlobalTable"
        # Deleting the stack leaves the table: it is the memory of every incident.
        DeletionPolicy      = var.platform.tables_deletable ? "Delete" : "Retain"
        UpdateReplacePolicy = "Retain"
        Properties = {
          TableName = each.value
          # On demand: an outage doubles the traffic of a Region from one second to the next.
          BillingMode = "PAY_PER_REQUEST"
          # Exactly three Regions, each with a replica: the functions of the third read and write there.
          MultiRegionConsistency = "STRONG"
          AttributeDefinitions = [
            { AttributeName = "pk", AttributeType = "S" },
            { AttributeName = "sk", AttributeType = "S" },
          ]
          # No local indexes, no time-to-live, no transactions: MRSC has none of them, and Holdfast needs none.
          KeySchema = [
            { AttributeName = "pk", KeyType = "HASH" },
            { AttributeName = "sk", KeyType = "RANGE" },
          ]
          # DynamoDB's own key. A customer's key that is out of reach for 20 hours takes its replica out of the table.
          SSESpecification = { SSEEnabled = false }
          Replicas = [for region in local.three_regions : {
            Region                           = region
            DeletionProtectionEnabled        = !var.platform.tables_deletable
            PointInTimeRecoverySpecification = { PointInTimeRecoveryEnabled = true }
          }]
        }
      }
    }
  })

  # A failed change is put back by CloudFormation; a failed creation leaves nothing behind.
  on_failure         = "ROLLBACK"
  timeout_in_minutes = 60
}

# What an emulator without global tables gets: tables of the same names that know nothing of each other.
resource "aws_dynamodb_table" "apart_first" {
  #checkov:skip=CKV_AWS_119:Only an emulator has this table; see above for why a real one has DynamoDB's own key.
  #checkov:skip=CKV_AWS_28:Only an emulator has this table, and nothing in it is worth a backup.
  provider = aws.first
  for_each = local.apart

  name         = each.value
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"
  range_key    = "sk"

  attribute {
    name = "pk"
    type = "S"
  }
  attribute {
    name = "sk"
    type = "S"
  }
}

resource "aws_dynamodb_table" "apart_second" {
  #checkov:skip=CKV_AWS_119:Only an emulator has this table; see above for why a real one has DynamoDB's own key.
  #checkov:skip=CKV_AWS_28:Only an emulator has this table, and nothing in it is worth a backup.
  provider = aws.second
  for_each = local.apart

  name         = each.value
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"
  range_key    = "sk"

  attribute {
    name = "pk"
    type = "S"
  }
  attribute {
    name = "sk"
    type = "S"
  }
}

resource "aws_dynamodb_table" "apart_witness" {
  #checkov:skip=CKV_AWS_119:Only an emulator has this table; see above for why a real one has DynamoDB's own key.
  #checkov:skip=CKV_AWS_28:Only an emulator has this table, and nothing in it is worth a backup.
  provider = aws.witness
  for_each = local.apart

  name         = each.value
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"
  range_key    = "sk"

  attribute {
    name = "pk"
    type = "S"
  }
  attribute {
    name = "sk"
    type = "S"
  }
}
