# Two data Regions from identical inputs, a witness, and what is one thing over them.

module "first" {
  source    = "./region"
  providers = { aws = aws.first }

  holdfast        = local.file
  holdfast_config = local.holdfast_config
  platform        = local.platform
}

module "second" {
  source    = "./region"
  providers = { aws = aws.second }

  holdfast        = local.file
  holdfast_config = local.holdfast_config
  platform        = local.platform
}

module "witness" {
  source    = "./witness"
  providers = { aws = aws.witness }

  holdfast        = local.file
  holdfast_config = local.holdfast_config
  platform        = local.platform
}

module "global" {
  source = "./global"
  providers = {
    aws.first     = aws.first
    aws.second    = aws.second
    aws.witness   = aws.witness
    aws.us_east_1 = aws.us_east_1
  }

  holdfast               = local.file
  platform               = local.platform
  ledger_master_password = var.ledger_master_password

  first = {
    network    = module.first.network
    ways       = module.first.ways
    receipts   = module.first.receipts
    switch     = module.first.switch
    front_door = module.first.front_door
  }
  second = {
    network    = module.second.network
    ways       = module.second.ways
    receipts   = module.second.receipts
    switch     = module.second.switch
    front_door = module.second.front_door
  }

  # Apart from the others: the functions wait for the ledger's endpoints, and the ledger must not wait for them.
  promoters = {
    (module.first.region)  = module.first.promote_aurora
    (module.second.region) = module.second.promote_aurora
  }
}
