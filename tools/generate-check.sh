#!/usr/bin/env bash
# Usage: generate-check.sh COMMAND...
#
# Runs COMMAND, which generates, and fails with the difference if that changed, added or removed a generated file. It compares
# the files before with the files after rather than with a commit, so that it tells the truth about uncommitted work too. The
# new files stay where they are: they are the fix.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/here" "$dir/generated"

# snapshot copies every generated file that exists, tracked or new, into the directory $1.
snapshot() {
  git ls-files -z --cached --others --exclude-standard --deduplicate -- \
    gen clients/python/src/mobula/_gen '*mobula_gen.go' '*mobula_main_gen.go' '*mobula_main_gen_test.go' |
    while IFS= read -r -d '' file; do
      # A tracked file may have been deleted from the working tree.
      if [[ -f $file ]]; then
        mkdir -p "$1/$(dirname "$file")"
        cp "$file" "$1/$file"
      fi
    done
}

snapshot "$dir/here"
"$@"
snapshot "$dir/generated"

if ! git -C "$dir" --no-pager diff --no-index --no-prefix --stat --patch here generated; then
  echo "generated files were stale; they are up to date now: look at the difference above and commit it" >&2
  exit 1
fi
