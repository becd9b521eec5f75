#!/usr/bin/env bash
# Publishes one build to all three Regions: the same bytes everywhere, first for a tenth of the runs, and back at once when
# a function fails.
#
#   infra/deliver.sh CONFIG ZIPS
#
#   CONFIG   the configuration file, which names the Regions and the coordination table
#   ZIPS     a directory with observe-region.zip and so on
#
#   CANARY_SECONDS=600   how long a tenth of the runs is watched
#   ROLL_OUT_SECONDS=60  between two Regions
#   PLAN=plan.json       what `terraform show -json` says of a whole plan that was made just now
#   CHECK_PLAN=...       the program check-plan; the default builds it
#
# Terraform made functions and aliases and leaves both alone; this moves them. Nothing is delivered while an incident is
# open or somebody has frozen Holdfast. But an incident whose writes are restored waits for somebody's word that the plan is
# clean before it can be closed: where PLAN changes nothing, that word is given here.
set -euo pipefail

config=${1:?the configuration file}
zips=${2:?the directory with the zips}
canary_seconds=${CANARY_SECONDS:-600}
roll_out_seconds=${ROLL_OUT_SECONDS:-60}
plan=${PLAN:-}
check_plan=${CHECK_PLAN:-cargo run --quiet --manifest-path $(dirname "$0")/../Cargo.toml -p holdfast-infra --bin check-plan --}

say() { echo "deliver: $*" >&2; }

# The witness first: it holds no service. Of the data Regions the standby's turn comes before the writer's, on an ordinary day.
{ read -r witness; read -r data; read -r table; read -r cluster; } < <(python3 -c '
import json, sys
topology = json.load(open(sys.argv[1]))["topology"]
print(topology["witness"]["region"])
print(*(it["region"] for it in reversed(topology["data_regions"])))
print(topology["coordination_table"])
print(topology["global_cluster"])
' "$config")

functions_in() {
  for zip in "$zips"/*.zip; do
    name=$(basename "$zip" .zip)
    if [ "$1" != "$witness" ] || [ "$name" = observe-region ] || [ "$name" = page-humans ]; then echo "$name"; fi
  done
}

ask=$(mktemp)
trap 'rm -f "$ask" "$ask.answer"' EXIT

# Says `plan_clean` of incident $1 to the promoter that drives it, in $2, when the plan is the evidence of it.
attest() {
  if [ -z "$plan" ]; then
    say "plan_clean of $1 is not attested: no PLAN was given"
    return
  fi
  local evidence failed
  # A program of several words.
  # shellcheck disable=SC2086
  evidence=$($check_plan --attests "$1" <"$plan") || { say "plan_clean of $1 is not attested: ${evidence:-$plan cannot be judged}"; return; }
  python3 -c '
import json, sys
incident, by, evidence = sys.argv[1:]
print(json.dumps({"action": "attest", "incident": incident, "guard": "plan_clean", "by": by, "evidence": evidence}))
' "$1" "deliver.sh${GITHUB_RUN_ID:+ in run $GITHUB_RUN_ID}" "$evidence" >"$ask"
  failed=$(aws lambda invoke --region "$2" --function-name holdfast-promote-aurora --qualifier live \
    --payload "fileb://$ask" --query FunctionError --output text "$ask.answer") || failed="the call to holdfast-promote-aurora failed"
  if [ "$failed" != None ] || ! grep -q '"done": *"attested"' "$ask.answer"; then
    say "plan_clean of $1 is not attested: $failed $(cat "$ask.answer" 2>/dev/null); ask holdfast-promote-aurora in $2 for its status, and attest by hand"
    return
  fi
  say "plan_clean of $1 is attested: $evidence"
}

# Nothing on a quiet day; the open incident, in which Region it is driven, and whether its writes are restored; or a sentence
# that says why not. What cannot be read is not quiet.
record=$(aws dynamodb get-item --region "$witness" --table-name "$table" --consistent-read --output json \
  --key "{\"pk\":{\"S\":\"cluster#$cluster\"},\"sk\":{\"S\":\"state\"}}")
open=$(printf '%s' "$record" | python3 -c '
import json, sys
text = sys.stdin.read().strip()
item = json.loads(text).get("Item") if text else None
if item is None:
    sys.exit("deliver: the coordination table has no record of incidents; freeze and unfreeze Holdfast once (infra/README.md)")
state = json.loads(item["body"]["S"])
freeze, incident = state.get("freeze"), state.get("incident")
if freeze:
    sys.exit("deliver: {} has frozen Holdfast: {}".format(freeze["by"], freeze["reason"]))
if incident and incident["phase"] not in ("Dismissed", "Closed"):
    restored = any(it["phase"] == "Restored" for it in incident["history"])
    print("e{} {} {} {}".format(incident["epoch"], incident["to"], incident["phase"], restored))
')
if [ -n "$open" ]; then
  read -r id driven_in phase restored <<<"$open"
  [ "$restored" = False ] || attest "$id" "$driven_in"
  say "incident $id is open: $phase; nothing is delivered"
  exit 1
fi
printf '{"action":"status"}' >"$ask"

# 1. The same bytes in every Region, as versions that nothing starts yet.
declare -A new old
for region in $witness $data; do
  for name in $(functions_in "$region"); do
    function="holdfast-$name"
    built=$(openssl dgst -sha256 -binary "$zips/$name.zip" | base64 | tr -d '\n')
    aws lambda update-function-code --region "$region" --function-name "$function" --zip-file "fileb://$zips/$name.zip" >/dev/null
    aws lambda wait function-updated-v2 --region "$region" --function-name "$function"
    # Published only if the code there is the code that was built: somebody else may have changed it in between.
    version=$(aws lambda publish-version --region "$region" --function-name "$function" --code-sha256 "$built" --query Version --output text)
    old["$region/$name"]=$(aws lambda get-alias --region "$region" --function-name "$function" --name live --query FunctionVersion --output text)
    new["$region/$name"]=$version
    # Each function answers `status` and changes nothing.
    failed=$(aws lambda invoke --region "$region" --function-name "$function" --qualifier "$version" \
      --payload "fileb://$ask" --query FunctionError --output text "$ask.answer")
    if [ "$failed" != None ]; then
      say "$function:$version in $region does not answer to status: $(cat "$ask.answer"); nothing was shifted"
      exit 1
    fi
    say "$function in $region: version $version, $built"
  done
done

put_back() {
  for key in "${!old[@]}"; do
    aws lambda update-alias --region "${key%%/*}" --function-name "holdfast-${key#*/}" --name live \
      --function-version "${old[$key]}" --routing-config 'AdditionalVersionWeights={}' >/dev/null || say "$key could not be put back: do it by hand"
  done
  say "everything runs what it ran before"
}
trap 'say "interrupted"; put_back; exit 1' INT TERM

# Whether no function has failed since. An alarm that cannot be read is not a quiet one.
quiet() {
  for region in $witness $data; do
    alarms=()
    for name in $(functions_in "$region"); do alarms+=("holdfast-$name-errors" "holdfast-$name-dead-letters"); done
    ringing=$(aws cloudwatch describe-alarms --region "$region" --alarm-names "${alarms[@]}" --state-value ALARM \
      --query 'MetricAlarms[].AlarmName' --output text) || { say "the alarms in $region cannot be read"; return 1; }
    if [ -n "$ringing" ]; then
      say "$region: $ringing"
      return 1
    fi
  done
}

watch_for() {
  local until=$((SECONDS + $1))
  while [ $SECONDS -lt $until ]; do
    quiet || { put_back; exit 1; }
    sleep 10
  done
}

# 2. A tenth of the runs, everywhere.
quiet || { say "something fails already; nothing was shifted"; exit 1; }
for key in "${!new[@]}"; do
  [ "${new[$key]}" = "${old[$key]}" ] && continue
  aws lambda update-alias --region "${key%%/*}" --function-name "holdfast-${key#*/}" --name live \
    --routing-config "AdditionalVersionWeights={${new[$key]}=0.1}" >/dev/null || { put_back; exit 1; }
done
say "a tenth of the runs is new; watching for $canary_seconds s"
watch_for "$canary_seconds"

# 3. All of them, one Region after the other, so that two Regions never change at the same moment.
for region in $witness $data; do
  for name in $(functions_in "$region"); do
    aws lambda update-alias --region "$region" --function-name "holdfast-$name" --name live \
      --function-version "${new["$region/$name"]}" --routing-config 'AdditionalVersionWeights={}' >/dev/null || { put_back; exit 1; }
  done
  say "$region runs the new versions"
  watch_for "$roll_out_seconds"
done
say "done"
