#!/bin/sh
# A CI step of any system: gate.sh JOB.toml FOLDER. Goes on (0) only on SHIP; on HOLD too with ALLOW_HOLD=1.
# FOLDER gets decision.json, report.html, summary.md and junit.xml, also where the decision stops the pipeline: keep it
# as an artifact. It keeps the database too: the same step on the same FOLDER goes on where it was stopped.
set -u
job=${1:?usage: gate.sh JOB.toml FOLDER}
folder=${2:?usage: gate.sh JOB.toml FOLDER}
evalsvc=${EVALSVC:-evalsvc}

rm -f "$folder/decision.json" # of an earlier run: what is reported is decided now
"$(dirname "$0")/../../deploy/ci-gate.sh" "$job" "$folder"
code=$?

# No decision, no report: ci-gate.sh has said why.
if [ -f "$folder/decision.json" ]; then
    $evalsvc report latest --db "$folder/evalsvc.db" -o "$folder/summary.md" || exit 1
    $evalsvc report latest --db "$folder/evalsvc.db" -o "$folder/junit.xml" || exit 1
    if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then cat "$folder/summary.md" >>"$GITHUB_STEP_SUMMARY"; fi
fi
exit "$code"
