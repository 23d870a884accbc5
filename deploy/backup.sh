#!/bin/sh
# A backup that can be restored from: backup.sh DATABASE FOLDER [KEEP]
# Copies the database while it is in use, and the data sets of jobs that are not done. The newest KEEP copies stay (14),
# and only a copy that was made and checked takes the oldest one's place: where backups fail, old ones are kept.
set -eu
database=${1:?usage: backup.sh DATABASE FOLDER [KEEP]}
folder=${2:?usage: backup.sh DATABASE FOLDER [KEEP]}
keep=${3:-14}
umask 077

${EVALSVC:-evalsvc} backup --db "$database" "$folder"

# A data set is in use as long as it is beside the database; its copy is touched then, and dies with the last database
# that may need it.
uploads=$folder/$(basename "$database").uploads
mkdir -p "$uploads"
for file in "$database".uploads/*; do
    [ -f "$file" ] || continue
    copy=$uploads/$(basename "$file")
    if [ -e "$copy" ]; then
        touch "$copy"
    elif cp "$file" "$copy.part" 2>/dev/null; then
        mv "$copy.part" "$copy"
    elif [ -e "$file" ]; then # else its job was done meanwhile
        echo "backup.sh: $file cannot be copied" >&2
        exit 1
    fi
done

# shellcheck disable=SC2012 # names are ours: NAME-20261125T100438Z.db
copies() { ls -1 "$folder/$(basename "$database" .db)"-????????T??????Z.db; }
copies | head -n "-$keep" | while read -r old; do rm -- "$old"; done
oldest=$(copies | head -n 1)
for copy in "$uploads"/*; do
    if [ -f "$copy" ] && [ "$copy" -ot "$oldest" ]; then rm -- "$copy"; fi
done
