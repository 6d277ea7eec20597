#!/usr/bin/env bash
# The speed of check against a bare sock_diag dump of the same sockets, both as whole processes, in turn, in one
# network namespace that goes away with the benchmark. Prints medians of processor time, the ratio, and the largest memory of check.
#   scripts/bench-check.sh [SOCKETS] [ROUNDS]     300000 sockets take about 7 GB of kernel memory
set -euo pipefail
cd "$(dirname "$0")/.."
MAXCONN_BENCH_SOCKETS="${1:-300000}" go test ./cmd/maxconn -run '^$' -bench '^BenchmarkCheck$' -benchtime "${2:-5}x" -timeout 20m |
  grep -E '^Benchmark|^FAIL|^---|panic|_test.go'
