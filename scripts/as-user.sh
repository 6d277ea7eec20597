#!/usr/bin/env bash
# go test work as an ordinary user (uid 65534), after it was run as root: scripts/as-user.sh [package...]
#
# Only packages run whose result can depend on the user: those whose tests import golang.org/x/sys/unix, directly or
# not, for nothing else makes system calls (internal/archtest), or read /proc. They are compiled by the caller, whose build cache has
# them already, in a clone that belongs to the caller, and run there with nothing but Go on PATH. Home, temporary
# files, build cache and modules of the user are in one directory, which is removed; what a test left of its
# temporary files is an error. A test that is skipped says why (-v); MAXCONN_REQUIRE is passed on.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] && command -v setpriv >/dev/null || { echo "as-user: takes root and setpriv"; exit 2; }
export GOFLAGS="${GOFLAGS:-} -trimpath -buildvcs=false"
top=$(mktemp -d)
trap 'chmod -R u+w "$top"; rm -rf "$top"' EXIT
chmod 755 "$top"
mkdir "$top"/{home,tmp,cache,mod,bin}
git clone -q . "$top/src"
cp -r "$(go env GOMODCACHE)/." "$top/mod"
chown 65534:65534 "$top"/{home,tmp,cache,mod}
chmod -R a+rX "$top/mod" "$top/src"
asks() {
  go list -deps -test -f '{{.ImportPath}}' "$1" | grep -qx golang.org/x/sys/unix ||
    grep -qs '/proc' "$(go list -f '{{.Dir}}' "$1")"/*_test.go
}

status=0
for package in $(cd "$top/src" && go list "${@:-work}"); do
  cd "$top/src"
  asks "$package" || continue
  go test -c -o "$top/bin/test" "$package" 2>&1 | grep -v 'no test files' || true
  [ -e "$top/bin/test" ] || continue
  cd "$(go list -f '{{.Dir}}' "$package")"
  if out=$(setpriv --reuid=65534 --regid=65534 --clear-groups env -i HOME="$top/home" TMPDIR="$top/tmp" \
    PATH="$(go env GOROOT)/bin" GOCACHE="$top/cache" GOMODCACHE="$top/mod" GOPROXY=off GOFLAGS="$GOFLAGS" \
    MAXCONN_REQUIRE="${MAXCONN_REQUIRE:-}" "$top/bin/test" -test.short -test.timeout 10m 2>&1); then
    echo "ok $package"
  else
    echo "$out" | tail -n 40; echo "FAIL $package"; status=1
  fi
  rm -f "$top/bin/test"
  left=$(ls -A "$top/tmp")
  [ -z "$left" ] || { echo "FAIL $package left $left"; status=1; rm -rf "$top/tmp"/*; }
done
exit $status
