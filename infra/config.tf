# One file renders Terraform's names and the functions' configuration, so that the two cannot disagree.

locals {
  file     = jsondecode(file(var.config_file))
  topology = merge({ s3_path_style = false }, local.file.topology)
  tags     = { system = "holdfast" }

  # AWS makes up a part of Aurora's endpoints. Where Terraform makes the ledger, what AWS has named takes the place of
  # what the file says; where somebody else has made it, the file is right.
  holdfast_config = jsonencode(merge(local.file, {
    topology = merge(local.file.topology, {
      writer_endpoint = coalesce(module.global.writer_endpoint, local.file.topology.writer_endpoint)
      data_regions = [for data in local.file.topology.data_regions : merge(data, {
        reader_endpoint = lookup(module.global.reader_endpoints, data.region, data.reader_endpoint)
      })]
    })
    }, local.traffic == null ? {} : {
    traffic = merge(local.traffic, {
      service_domain = var.service_domain
      regions = { for region, doors in local.traffic.regions : region => merge(doors, {
        load_balancer = try(local.front_doors[region].name, doors.load_balancer)
      }) }
    })
  }))

  traffic     = try(local.file.traffic, null)
  front_doors = { (module.first.region) = module.first.front_door, (module.second.region) = module.second.front_door }

  platform = {
    zips                  = var.zips
    architecture          = var.architecture
    people                = var.people
    rehearse_pages        = var.rehearse_pages
    service_domain        = var.service_domain
    hosted_zone           = var.hosted_zone
    service_image         = var.service_image
    service_tasks         = var.service_tasks
    ledger_engine_version = var.ledger_engine_version
    ledger_instance_class = var.ledger_instance_class
    ledger_instances      = var.ledger_instances
    backup_retention_days = var.backup_retention_days
    log_retention_days    = var.log_retention_days
    left_out              = var.left_out
    tables_deletable      = var.tables_deletable
    first_apply           = var.incidents == "none-yet"
    network_cidrs = merge(
      { for index, data in local.topology.data_regions : data.region => "10.2${index}.0.0/16" },
      var.network_cidrs,
    )
  }
}
