#!/usr/bin/env bash
# Tries every claim of `maxconn prove` on Debian's kernels in virtual machines, as many at once as
# there are CPUs, and writes docs/proofs.md. Needs qemu-system-x86; kernels are fetched once.
# Usage: scripts/proofs.sh [5.10,6.1,6.12,newest]   run, write the page; fails when a claim differs
#        scripts/proofs.sh --from 510.json,61.json  write the page from what maxconn-proofs --json
#                                                   has saved
#        scripts/proofs.sh --quick [6.12]           run all but what takes a minute, print, write
#                                                   nothing: for CI
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -trimpath -o "$work/" ./cmd/maxconn ./cmd/maxconn-proofs
status=0
if [ "${1:-}" = --quick ]; then
  quick=$(COLUMNS=200 "$work/maxconn" prove --list | sed -nE 's/^  ([a-z0-9-]+)( \(maxconn-proofs\))?: .*/\1/p')
  "$work/maxconn-proofs" --kernels "${2:-6.12}" $quick || status=$?
  [ "$status" -eq 2 ] && status=0 # some could not run, and said why
  exit "$status"
fi
saved=${2:-$work/reports.json}
if [ "${1:-}" != --from ]; then
  "$work/maxconn-proofs" --kernels "${1:-5.10,6.1,6.12,newest}" --json >"$saved" || status=$?
fi
# 1: some differ; 2: some could not run, and the page says which and why.
case $status in 0 | 1 | 2) ;; *) exit "$status" ;; esac
"$work/maxconn" prove --from "$saved" --md >"$work/proofs.md" || status=$?
[ "$status" -le 2 ] || exit "$status"
cp "$work/proofs.md" docs/proofs.md
grep -c '^| `' docs/proofs.md | sed 's/$/ claims in docs\/proofs.md/'
[ "$status" -ne 1 ] || { echo "some claims differ:"; grep 'differs:' docs/proofs.md; exit 1; }
