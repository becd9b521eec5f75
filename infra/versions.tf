terraform {
  required_version = ">= 1.11" # Write-only arguments: the ledger's password is in no state.

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # The state lives in the witness Region: it is needed when either data Region is dark, and it must be locked then, too.
  # Its bucket is given at init (infra/README.md): `-backend-config=bucket=… -backend-config=region=…`.
  backend "s3" {
    key          = "holdfast.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

# Which Regions these are is said by the configuration file alone.
provider "aws" {
  alias  = "first"
  region = local.topology.data_regions[0].region

  s3_use_path_style = local.topology.s3_path_style
  default_tags { tags = local.tags }
}

provider "aws" {
  alias  = "second"
  region = local.topology.data_regions[1].region

  s3_use_path_style = local.topology.s3_path_style
  default_tags { tags = local.tags }
}

provider "aws" {
  alias  = "witness"
  region = local.topology.witness.region

  s3_use_path_style = local.topology.s3_path_style
  default_tags { tags = local.tags }
}

provider "aws" {
  alias  = "us_east_1"
  region = "us-east-1"

  default_tags { tags = local.tags }
}
