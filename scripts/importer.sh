#!/usr/bin/env bash
# What a program gets that imports coalesce, dial or listen: builds a small importer of each, outside of this repository, prints
# its module graph, and fails if that holds more than the package, golang.org/x/sys and the versions of Go.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
oldest=1.25.0 # of the Go releases that the packages support
export GOWORK=off GOFLAGS=-mod=mod
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for name in "${@:-coalesce dial listen}"; do for package in $name; do
  path=github.com/maxconn/maxconn/$package
  mkdir "$work/$package" && cd "$work/$package"
  printf 'module importer\n\ngo %s\n\nrequire %s v0.0.0\n\nreplace %s => %s\n' "$oldest" "$path" "$path" "$here/$package" >go.mod
  printf 'package main\n\nimport _ "%s"\n\nfunc main() {}\n' "$path" >main.go
  go mod tidy
  go build -o /dev/null .
  go mod graph | tee graph
  others=$(tr ' ' '\n' <graph | sort -u | grep -vE "^(importer|$path@v0.0.0|golang.org/x/sys@.*|go@.*|toolchain@.*)\$" || true)
  [ -z "$others" ] || { echo "$package brings along: $others" >&2; exit 1; }
  grep -qx "go $oldest" go.mod || { echo "$package needs a newer Go than $oldest: $(grep '^go ' go.mod)" >&2; exit 1; }
  if GOTOOLCHAIN=go$oldest go version >/dev/null 2>&1; then
    GOTOOLCHAIN=go$oldest go build -o /dev/null .
  else
    echo "Go $oldest is not to be had: $package was built with $(go env GOVERSION) alone"
  fi
done; done
