#!/usr/bin/env bash
# Fuzzes each target of all modules for a time, two at once, and prints how many inputs each saw.
# A finding fails; its input is under testdata/fuzz of the package.
#   scripts/fuzz.sh [1s] [PACKAGE...]
# For less than 10 s each, nothing is compiled anew to count what code an input reaches: that takes
# longer than it would guide.
set -euo pipefail
cd "$(dirname "$0")/.."
export FUZZ_TIME="${1:-1s}" WORK
shift || true
case $FUZZ_TIME in ?s) GUIDE= ;; *) GUIDE=-fuzz=. ;; esac
export GUIDE
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# fuzz builds the tests of one package and runs each target of it.
fuzz() {
  local dir=$1 binary targets target out
  binary=$WORK/$(tr / _ <<<"${dir#/}").test
  (cd "$dir" && go test -c $GUIDE -o "$binary" .) || return 255
  targets=$(cd "$dir" && "$binary" -test.list '^Fuzz') || return 255
  for target in $targets; do
    # The end of its own time may fail a target (golang/go issue 75804); a finding is written down or panics.
    out=$(cd "$dir" && "$binary" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$FUZZ_TIME" \
      -test.fuzzcachedir "$WORK/cache" -test.parallel 1 2>&1) ||
      { grep -qx ' *context deadline exceeded' <<<"$out" && ! grep -qE 'Failing input|panic|_test.go:' <<<"$out"; } ||
      { printf '%s\n%s\n' "$dir $target" "$out"; return 255; }
    echo "${dir#"$PWD"/} $target: $(grep -o 'execs: [0-9]*' <<<"$out" | tail -n 1)"
  done
  rm -f "$binary"
}
export -f fuzz

go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' "${@:-work}" |
  while read -r dir; do
    if grep -qsE '^func Fuzz' "$dir"/*_test.go; then echo "$dir"; fi
  done |
  xargs -P 2 -I DIR bash -c 'fuzz DIR'
