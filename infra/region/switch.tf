# STOP: an object here takes the *other* data Region out of DNS, by the data plane alone.
#
#   aws s3api put-object --region <this Region> --bucket <global cluster>-switch-<this Region> --key evacuate/<other Region>
#
# An inverted health check of infra/global watches the object; deleting it lets the Region back in.

resource "aws_s3_bucket" "switch" {
  #checkov:skip=CKV_AWS_144:Each Region has its own: the switch for a dark Region must not be in it, and a copy would be one.
  #checkov:skip=CKV_AWS_145:Health checkers are anonymous, and an object under a customer's key cannot be read without a signature.
  #checkov:skip=CKV_AWS_18:The only reader is Route 53, every ten seconds from a dozen places.
  #checkov:skip=CKV2_AWS_62:Nothing happens in the bucket but what a person does.
  #checkov:skip=CKV2_AWS_61:It holds one empty object at most.
  bucket = "${local.topology.global_cluster}-switch-${local.region}"
}

resource "aws_s3_bucket_versioning" "switch" {
  bucket = aws_s3_bucket.switch.id
  versioning_configuration {
    status = "Enabled" # Who threw it and when stays visible.
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "switch" {
  bucket = aws_s3_bucket.switch.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

# All four stay on: S3 does not call a policy public that names fixed and narrow source addresses.
resource "aws_s3_bucket_public_access_block" "switch" {
  bucket                  = aws_s3_bucket.switch.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# The addresses of Route 53's health checkers, as AWS publishes them; a plan shows when they change.
data "aws_ip_ranges" "health_checkers" {
  count    = contains(var.platform.left_out, "routing") ? 0 : 1
  services = ["route53_healthchecks"]
}

resource "aws_s3_bucket_policy" "switch" {
  #checkov:skip=CKV_AWS_70:Health checkers are anonymous; the condition names their addresses, and only an empty object can be read.
  count = contains(var.platform.left_out, "routing") ? 0 : 1

  bucket = aws_s3_bucket.switch.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "HealthCheckersLook"
      Effect    = "Allow"
      Principal = "*"
      # No ListBucket: a missing object is 403, which the inverted check takes for healthy just like 404.
      Action    = "s3:GetObject"
      Resource  = "${aws_s3_bucket.switch.arn}/evacuate/*"
      Condition = { IpAddress = { "aws:SourceIp" = data.aws_ip_ranges.health_checkers[0].cidr_blocks } }
    }]
  })
  depends_on = [aws_s3_bucket_public_access_block.switch]
}
