# Read by the scripts beside it, after `work` (a directory) and `missing` (a function) are set: finds Terraform and the
# provider, whatever this machine's own configuration of Terraform says.

command -v terraform >/dev/null || missing "Terraform is missing; see https://developer.hashicorp.com/terraform/install (1.11 or newer)"

# The first that has the provider is used; without one it is downloaded.
mirrors="${TF_PLUGIN_MIRROR:-} /opt/tf-plugins /usr/share/terraform/plugins /usr/local/share/terraform/plugins $HOME/.terraform.d/plugins"
mirror=
for directory in $mirrors; do
  if [ -d "$directory/registry.terraform.io/hashicorp/aws" ]; then
    mirror=$directory
    break
  fi
done
{
  echo 'provider_installation {'
  if [ -n "$mirror" ]; then
    echo "  filesystem_mirror { path = \"$mirror\" }"
  else
    echo '  direct {}'
  fi
  echo '}'
} >"$work/terraform.rc"
export TF_CLI_CONFIG_FILE="$work/terraform.rc" TF_DATA_DIR="$work/data" TF_IN_AUTOMATION=1 CHECKPOINT_DISABLE=1
