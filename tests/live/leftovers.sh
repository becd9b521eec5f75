#!/bin/sh
# Looks for what the live drill leaves behind: after a story's end, after a failure, and after an interruption.
#
#     tests/live/leftovers.sh target/debug/live-drill [directory of the functions]
set -u
drill=${1:?the live-drill binary}
functions=${2:-$(dirname "$drill")}
failed=0

# Processes whose command line names a directory of this drill's process, directories of it, and new segments of shared
# memory that nobody uses.
look() {
  what=$1 pid=$2
  left=$(ls -d "${TMPDIR:-/tmp}/holdfast-live-$pid" "${TMPDIR:-/tmp}/holdfast-postgresql-$pid"-* 2>/dev/null)
  running=$(pgrep --full --list-full "holdfast-(live|postgresql)-$pid" 2>/dev/null)
  memory=$(abandoned | grep -vxF "$before")
  if [ -n "$left$running$memory" ]; then
    echo "$what: left behind: $left $running; segments of shared memory: $memory"
    failed=1
  else
    echo "$what: nothing is left"
  fi
}

# Segments that no process uses.
abandoned() {
  awk 'NR > 1 && $7 == 0 { print $2 }' /proc/sysvipc/shm
}
before="none
$(abandoned)"

"$drill" dublin-dark --functions "$functions" >/dev/null 2>&1 &
pid=$!
wait $pid
look "a story played to its end (exit code $?)" $pid

# No functions: it fails after the databases are up.
"$drill" dublin-dark --functions /nonexistent >/dev/null 2>&1 &
pid=$!
wait $pid
look "a failure (exit code $?)" $pid

# In the quiet before the outage, while Dublin stands still, while it is dark, and when it has been rebuilt: a copy of the old
# data is there as well then, and the standby is the one that pg_rewind has made.
for story in "dublin-dark 20" "region-frozen 65" "failback-clean 75" "failback-clean 112"; do
  set -- $story
  "$drill" "$1" --functions "$functions" >/dev/null 2>&1 &
  pid=$!
  sleep "$2"
  kill -INT $pid
  wait $pid
  look "$1, interrupted after $2 s (exit code $?)" $pid
done
exit $failed
