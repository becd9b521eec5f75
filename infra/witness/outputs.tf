output "functions" {
  description = "What runs here."
  value = {
    observe-region = module.observe_region.described
    page-humans    = module.page_humans.described
  }
}
