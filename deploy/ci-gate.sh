#!/bin/sh
# A CI step that ships only what is proven: ci-gate.sh JOB.toml ARTIFACT_FOLDER
# Exit code: 0 goes on, 1 stops the pipeline. HOLD stops it unless ALLOW_HOLD=1.
set -u
job=${1:?usage: ci-gate.sh JOB.toml ARTIFACT_FOLDER}
folder=${2:?usage: ci-gate.sh JOB.toml ARTIFACT_FOLDER}
mkdir -p "$folder" || exit 1
${EVALSVC:-evalsvc} run "$job" --db "$folder/evalsvc.db" --out "$folder"
code=$?
case "$code" in
    0) echo "SHIP: see $folder/report.html"; exit 0 ;;
    4) echo "HOLD: see $folder/report.html"; [ "${ALLOW_HOLD:-0}" = 1 ] && exit 0; exit 1 ;;
    3) echo "ITERATE: see $folder/report.html"; exit 1 ;;
    *) echo "no decision: evalsvc ended with code $code"; exit 1 ;;
esac
