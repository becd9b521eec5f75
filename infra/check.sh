#!/usr/bin/env bash
# What can be said of the Terraform without an account: format, validity, the tests of infra/tests, a security scan.
# It writes nothing into the repository and needs no network where the provider is in a mirror.
#
#   TF_PLUGIN_MIRROR=DIR         where the provider lies, as `terraform providers mirror` leaves it
#   ALLOW_MISSING_TERRAFORM=1    without Terraform, the provider or checkov: says so, and is content
set -euo pipefail
cd "$(dirname "$0")"

CHECKOV=3.3.30

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What is missing and how to get it; an error unless that is allowed.
missing() {
  echo "infra-check: $1" >&2
  if [ "${ALLOW_MISSING_TERRAFORM:-}" = 1 ]; then
    echo "infra-check: passed over, because ALLOW_MISSING_TERRAFORM=1; nothing after this point was checked" >&2
    exit 0
  fi
  echo "infra-check: ALLOW_MISSING_TERRAFORM=1 passes over it" >&2
  exit 1
}

. ./terraform.sh

echo "infra-check: format"
terraform fmt -check -diff -recursive . || { echo "infra-check: run terraform fmt -recursive infra" >&2; exit 1; }

# Terraform writes a lock file beside what it reads: let it be beside a copy.
functions=$(ls ../functions)
mkdir "$work/copy"
cp -R . "$work/copy/infra"
cp -R ../events "$work/copy/events"
rm -f "$work/copy/infra/.terraform.lock.hcl"
cd "$work/copy/infra"

echo "infra-check: init and validate"
terraform init -backend=false -input=false >"$work/init" 2>&1 || { cat "$work/init" >&2; missing "the provider hashicorp/aws could be had neither from a mirror ($mirrors) nor from the registry; set TF_PLUGIN_MIRROR"; }
terraform validate

echo "infra-check: tests"
mkdir "$work/zips"
for function in $functions; do
  # A plan reads the hash of each zip and nothing else of it.
  echo "$function" >"$work/zips/$function.zip"
done
# The example with the ledger's other two strategies, for the tests of what promote-aurora may do.
for strategy in read_replica restore_from_snapshot; do
  python3 -c '
import json, sys
config = json.load(open("../events/config.example.json"))
config["topology"]["ledger_strategy"] = sys.argv[1]
if sys.argv[1] == "restore_from_snapshot":
    for data in config["topology"]["data_regions"]:
        data["restore_into"] = {"instance_class": "db.r6g.large", "subnet_group": "ledger", "security_groups": ["sg-1"]}
json.dump(config, sys.stdout)
' "$strategy" >"$work/zips/$strategy.json"
done
terraform test -var "zips=$work/zips"

echo "infra-check: security scan"
venv="${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/checkov-$CHECKOV"
if [ ! -x "$venv/bin/checkov" ]; then
  python3 -m venv "$venv" && "$venv/bin/pip" install --quiet "checkov==$CHECKOV" \
    || { rm -rf "$venv"; missing "checkov $CHECKOV could not be installed from PyPI; it needs python3 with venv"; }
fi
# Every accepted finding stands beside its resource, with its reason; here none is accepted.
"$venv/bin/checkov" --directory . --framework terraform --skip-download --compact --quiet

echo "infra-check: every IAM action exists"
"$venv/bin/python" check-actions.py .

echo "infra-check: all of it holds"
