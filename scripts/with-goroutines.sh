#!/usr/bin/env bash
# Prints the packages of all modules that start goroutines, and the tests that use them from outside.
set -euo pipefail
cd "$(dirname "$0")/.."
git grep -lE '^\s*(go (func|[a-z])|.*\.Go\()' -- '*.go' ':!*_test.go' ':!libtest' | xargs -n 1 dirname |
  sort -u | sed 's|^|./|'
printf './libtest/%s\n' coalesce dial listen
