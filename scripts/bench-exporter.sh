#!/usr/bin/env bash
# The exporter next to node_exporter in one namespace of many sockets, both scraped once in 5 s:
# processor time, memory, the time of a scrape.
#   scripts/bench-exporter.sh [SOCKETS] [LENGTH]     300000 sockets take about 7 GB of kernel memory
set -euo pipefail
cd "$(dirname "$0")/.."
MAXCONN_REQUIRE=lab,metrics MAXCONN_COST="${1:-10000}" MAXCONN_LONG="${2:-1m}" \
  go test ./internal/ui/exporter/endtoend -run '^TestCost$' -v -timeout 90m |
  grep -E 'sockets|FAIL|ok|want'
