# This Region's bucket of receipts. Replication between the two is in infra/global: it needs both to exist.

resource "aws_s3_bucket" "receipts" {
  #checkov:skip=CKV_AWS_144:It is replicated, both ways, by infra/global/receipts.tf; the scan does not follow it there.
  #checkov:skip=CKV_AWS_18:Who reads receipts is in CloudTrail's data events, an account's own matter; access logs would be a third copy to keep.
  bucket = local.own.receipts_bucket

  # S3 refuses to delete a bucket that holds anything, and that is wanted: receipts outlive Holdfast.
  force_destroy = false
}

resource "aws_s3_bucket_versioning" "receipts" {
  bucket = aws_s3_bucket.receipts.id
  versioning_configuration {
    status = "Enabled" # Replication needs it, and reconcile-receipts decides by version ids.
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "receipts" {
  bucket = aws_s3_bucket.receipts.id
  rule {
    bucket_key_enabled = true # One call to KMS for many objects.
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.at_rest.arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "receipts" {
  bucket                  = aws_s3_bucket.receipts.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "receipts" {
  bucket = aws_s3_bucket.receipts.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_policy" "receipts" {
  bucket = aws_s3_bucket.receipts.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "NothingInTheClear"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.here.bucket, local.here.objects]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
  depends_on = [aws_s3_bucket_public_access_block.receipts]
}

# "Object Created" reaches reconcile-ledger through the default bus only when this is on.
resource "aws_s3_bucket_notification" "receipts" {
  bucket      = aws_s3_bucket.receipts.id
  eventbridge = true
}

resource "aws_s3_bucket_lifecycle_configuration" "receipts" {
  bucket = aws_s3_bucket.receipts.id

  # S3's default since September 2024, said aloud: what is smaller than 128 KB is never moved, whatever a rule says.
  # A receipt usually is: it stays in Standard, and Glacier Instant Retrieval would bill it as 128 KB for 90 days.
  transition_default_minimum_object_size = "all_storage_classes_128K"

  rule {
    id     = "large-receipts-to-glacier-instant-retrieval"
    status = "Enabled"
    filter {
      object_size_greater_than = 131072
    }
    # Blocked by S3 while the replication of an object is PENDING or FAILED.
    transition {
      days          = 30
      storage_class = "GLACIER_IR"
    }
  }

  rule {
    id     = "unfinished-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  # Lifecycle's own delete markers are not replicated, so nothing here expires a receipt: only reports go.
  rule {
    id     = "reports-of-reconcile-receipts"
    status = "Enabled"
    filter {
      prefix = "holdfast/reconcile/"
    }
    expiration {
      days = 400
    }
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
  }

  # A canary is overwritten once a minute, and each overwriting leaves a version.
  rule {
    id     = "versions-of-canaries"
    status = "Enabled"
    filter {
      prefix = "holdfast/canary-from-"
    }
    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.receipts]
}
