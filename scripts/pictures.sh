#!/usr/bin/env bash
# Renews the pictures of the README from the recorded fault of internal/ui/watch: the screen of watch
# (docs/watch.svg) and, with chromium, the page of the exporter (docs/page.png).
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go run ./scripts/pictures internal/ui/watch/testdata/fault.film docs/watch.svg "$work/page.html"
if ! command -v chromium >/dev/null; then
  echo "docs/page.png stays as it is: chromium is not installed" >&2
  exit 0
fi
chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars \
  --user-data-dir="$work/profile" --window-size=1000,1345 --screenshot="$work/page.png" \
  "file://$work/page.html" 2>/dev/null
cp "$work/page.png" docs/page.png
