# One key for what is kept at rest in this Region: the ledger's volume and the receipts.
#
# Not for the tables: a DynamoDB replica whose key is out of reach for 20 hours leaves its global table.
# Not for topics, queues and logs: a mistake in a key policy would silence what must be heard during an outage.

resource "aws_kms_key" "at_rest" {
  description             = "Holdfast: ledger and receipts at rest in ${local.region}"
  enable_key_rotation     = true
  deletion_window_in_days = 30 # KMS's longest: long enough to notice what still needs it.

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      # The account's own IAM policies decide. Without this statement a key can become unmanageable for ever.
      Sid       = "AccountDecides"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::${local.account}:root" }
      Action    = "kms:*"
      Resource  = "*" # In a key's policy this is the key itself.
    }]
  })
}

resource "aws_kms_alias" "at_rest" {
  name          = "alias/holdfast"
  target_key_id = aws_kms_key.at_rest.key_id
}
