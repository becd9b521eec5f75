# Replication of receipts, both ways. Each rule is one-way, and a replica is not replicated again: with one rule alone a
# receipt that was written in London never reaches Dublin.

locals {
  ways = {
    "first-to-second" = { from = var.first.receipts, to = var.second.receipts, from_region = local.first.region, to_region = local.second.region }
    "second-to-first" = { from = var.second.receipts, to = var.first.receipts, from_region = local.second.region, to_region = local.first.region }
  }
}

resource "aws_iam_role" "replication" {
  provider = aws.first
  for_each = local.ways

  name        = "holdfast-receipts-${each.key}"
  description = "S3 copies receipts from ${each.value.from_region} to ${each.value.to_region}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "s3.amazonaws.com" }
      # Confused deputy: for this account's bucket and no other.
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = each.value.from.arn }
      }
    }]
  })
}

resource "aws_iam_role_policy" "replication" {
  provider = aws.first
  for_each = local.ways

  name = "what-it-calls"
  role = aws_iam_role.replication[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
        Resource = each.value.from.arn
      },
      {
        Effect   = "Allow"
        Action   = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
        Resource = "${each.value.from.arn}/*"
      },
      {
        Effect   = "Allow"
        Action   = ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"]
        Resource = "${each.value.to.arn}/*"
      },
      {
        # Objects under KMS are decrypted with one Region's key and encrypted with the other's: keys do not travel.
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = each.value.from.key_arn
        Condition = { StringEquals = { "kms:ViaService" = "s3.${each.value.from_region}.amazonaws.com" } }
      },
      {
        Effect    = "Allow"
        Action    = ["kms:Encrypt", "kms:GenerateDataKey"]
        Resource  = each.value.to.key_arn
        Condition = { StringEquals = { "kms:ViaService" = "s3.${each.value.to_region}.amazonaws.com" } }
      },
    ]
  })
}

resource "aws_s3_bucket_replication_configuration" "first_to_second" {
  provider = aws.first

  bucket = var.first.receipts.bucket
  role   = aws_iam_role.replication["first-to-second"].arn

  rule {
    id     = "everything"
    status = "Enabled"
    filter {} # Everything: what a rule leaves out is lost with the Region.

    # Otherwise a receipt that is deleted on one side lives on at the other. Markers that lifecycle makes stay behind, and
    # a version that is deleted by its id is never replicated: reconcile-receipts knows both.
    delete_marker_replication {
      status = "Enabled"
    }
    source_selection_criteria {
      # Tags, locks and metadata that somebody changes on a replica go back to where it came from.
      replica_modifications {
        status = "Enabled"
      }
      # S3 leaves objects under KMS out unless it is told not to.
      sse_kms_encrypted_objects {
        status = "Enabled"
      }
    }
    destination {
      bucket        = var.second.receipts.arn
      storage_class = "STANDARD"
      encryption_configuration {
        replica_kms_key_id = var.second.receipts.key_arn
      }
      # Fifteen minutes is the only value there is. Without it S3 promises no time at all.
      replication_time {
        status = "Enabled"
        time {
          minutes = 15
        }
      }
      metrics {
        status = "Enabled"
        event_threshold {
          minutes = 15
        }
      }
    }
  }

  depends_on = [aws_iam_role_policy.replication]
}

resource "aws_s3_bucket_replication_configuration" "second_to_first" {
  provider = aws.second

  bucket = var.second.receipts.bucket
  role   = aws_iam_role.replication["second-to-first"].arn

  rule {
    id     = "everything"
    status = "Enabled"
    filter {}

    delete_marker_replication {
      status = "Enabled"
    }
    source_selection_criteria {
      replica_modifications {
        status = "Enabled"
      }
      sse_kms_encrypted_objects {
        status = "Enabled"
      }
    }
    destination {
      bucket        = var.first.receipts.arn
      storage_class = "STANDARD"
      encryption_configuration {
        replica_kms_key_id = var.first.receipts.key_arn
      }
      replication_time {
        status = "Enabled"
        time {
          minutes = 15
        }
      }
      metrics {
        status = "Enabled"
        event_threshold {
          minutes = 15
        }
      }
    }
  }

  depends_on = [aws_iam_role_policy.replication]
}
