#!/usr/bin/env bash
# Tries every claim of `maxconn prove` on Debian's kernels in virtual machines and writes docs/proofs.md.
# Usage: scripts/proofs.sh [5.10,6.1,6.12,newest]; fails when a claim differs. Needs qemu-system-x86; kernels are fetched once.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -o "$work/maxconn" ./cmd/maxconn
status=0
"$work/maxconn" prove --kernels "${1:-5.10,6.1,6.12,newest}" --md >"$work/proofs.md" || status=$?
case $status in
0 | 2) ;; # all hold, or some could not run: the page says which and why
*) cat "$work/proofs.md"; exit "$status" ;;
esac
cp "$work/proofs.md" docs/proofs.md
grep -c '^| `' docs/proofs.md | sed 's/$/ claims in docs\/proofs.md/'
