#!/usr/bin/env bash
# Applies the root to an AWS of this machine (MiniStack, from PyPI), plans again, sets an alarm off and sees promote-aurora
# answer it, judges plans, delivers other code, and destroys everything. No account and no network but for installing; about ten minutes.
#
#   TF_PLUGIN_MIRROR=DIR   where the provider lies, as `terraform providers mirror` leaves it
#   KEEP=DIR               leaves logs, plans and state there
set -euo pipefail
cd "$(dirname "$0")"

MINISTACK=1.5.33
AWSCLI=1.40.0

work=${KEEP:-$(mktemp -d)}
mkdir -p "$work"
missing() { echo "infra-apply-local: $1" >&2; exit 1; }
. ./terraform.sh

# Without cbor2 MiniStack takes no word of CloudWatch's.
venv="${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/ministack-$MINISTACK"
if [ ! -x "$venv/bin/ministack" ]; then
  python3 -m venv "$venv" && "$venv/bin/pip" install --quiet "ministack==$MINISTACK" "awscli>=$AWSCLI" boto3 cbor2 \
    || { rm -rf "$venv"; missing "MiniStack $MINISTACK could not be installed from PyPI; it needs python3 with venv"; }
fi

# This machine's own kind of binary, quickly built: what is shown is that it runs behind Lambda's Runtime API.
binaries=${BINARIES:-}
if [ -z "$binaries" ]; then
  (cd .. && "${CARGO:-cargo}" build --workspace --bins --locked)
  binaries=${CARGO_TARGET_DIR:-$(cd .. && pwd)/target}/debug
fi

status=0
"$venv/bin/python" apply-local.py "$work" "$binaries" || status=$?
[ -n "${KEEP:-}" ] || rm -rf "$work"
exit $status
