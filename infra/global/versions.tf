terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
      # us-east-1 holds Route 53's alarm and its topic, because its metric is nowhere else.
      configuration_aliases = [aws.first, aws.second, aws.witness, aws.us_east_1]
    }
  }
}
