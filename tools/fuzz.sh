#!/usr/bin/env bash
# Usage: fuzz.sh DURATION
#
# Runs every fuzz target of the module for DURATION, one after the other (each takes all cores), and fails at the end if any
# failed. A failing input is left under the package's testdata/fuzz: commit it with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."

# targets prints "package target" for every fuzz target.
targets() {
  go list -f '{{$p := .}}{{range .TestGoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}{{"\n"}}{{end}}' ./... |
    while read -r package file; do
      if [[ -n $package ]]; then
        sed -nE "s|^func (Fuzz[A-Za-z0-9_]*)\(.*|$package \1|p" "$file"
      fi
    done
}

failed=()
while read -r package target; do
  echo "==> fuzz $package $target for $1"
  if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$package" </dev/null; then
    failed+=("$package $target")
  fi
done < <(targets)

if ((${#failed[@]} > 0)); then
  echo "fuzz targets that failed:" >&2
  printf '  %s\n' "${failed[@]}" >&2
  exit 1
fi
