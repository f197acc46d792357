#!/usr/bin/env bash
# Usage: buf-breaking.sh BRANCH
#
# Fails if the schemas break clients that were built from those of BRANCH, here or, where only the remote's is known (a CI
# checkout), at origin. Says so and succeeds when neither has schemas to compare with. The other schemas are unpacked by git,
# which unlike buf can also read a linked worktree.
set -euo pipefail
cd "$(dirname "$0")/.."

other=$(mktemp -d)
trap 'rm -rf "$other"' EXIT
for ref in "refs/heads/$1" "refs/remotes/origin/$1"; do
  if [[ -n $(git ls-tree --name-only "$ref" proto/ 2>/dev/null) ]]; then
    git archive "$ref" proto buf.yaml | tar -x -C "$other"
    .bin/buf breaking --against "$other"
    exit
  fi
done
echo "no schemas on branch $1 to compare with: compatibility not checked"
