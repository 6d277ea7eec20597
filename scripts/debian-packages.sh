#!/usr/bin/env bash
# Installs what some tests need from Debian, and prints which of their requirements are met:
# "servers,exports,...". It changes nothing that it did not install: what is there is neither
# upgraded (but where CI=true says that the machine is for this only) nor removed, started, stopped
# or disabled. Without root or apt it installs nothing.
# Usage: scripts/debian-packages.sh [--list]     --list prints what is missing and installs nothing
# POLICY_RC_D and SYSTEMD_DIR are for its test.
set -euo pipefail
policy=${POLICY_RC_D:-/usr/sbin/policy-rc.d}
units=${SYSTEMD_DIR:-/etc/systemd/system}

wanted=(
  "servers nginx-light wrk redis-server redis-tools haproxy"
  "exports ansible-core cloud-init tuned nix-bin systemd udev kmod procps"
  "browser chromium"
  "screen tmux"
  "strace strace"
  "tools nftables iproute2"
  "clang clang-14 llvm-14"
  "metrics prometheus prometheus-alertmanager prometheus-node-exporter"
  "vm qemu-system-x86 e2fsprogs procps systemd udev kmod xz-utils gpgv debian-archive-keyring"
)

# installed also knows packages that were removed and have left their settings: they are not.
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
missing() { for p in "$@"; do installed "$p" || printf '%s\n' "$p"; done; }
# all are those that have files here: where apt is interrupted some are there by half.
all() {
  dpkg-query -W -f '${db:Status-Status} ${Package}\n' |
    sed -nE '/^(not-installed|config-files) /d; s/^[^ ]+ //p' | sort -u
}
enabled() { find "$units" -type l -printf '%f\n' 2>/dev/null | sort -u; }
say() { printf '%s\n' "$*" >&2; }

# policy-rc.d keeps dpkg from starting what it installs (invoke-rc.d(8)). It goes away however this
# script ends; after SIGKILL it forbids nothing, because it looks for this process.
made=
mark='# from scripts/debian-packages.sh of maxconn, for as long as it runs'
hold_services() {
  local started
  if grep -qsxF "$mark" "$policy"; then
    "$policy" || return 1 # its run goes on, and would lose it
    rm -f "$policy"       # of one that was killed
  fi
  [ ! -e "$policy" ] && [ ! -L "$policy" ] || return 0 # the owner's stays, and decides
  started=$(cut -d' ' -f22 </proc/$$/stat)
  made=$policy
  cat >"$policy" <<END
#!/bin/sh
$mark
[ "\$(cut -d' ' -f22 </proc/$$/stat 2>/dev/null)" = $started ] || exit 0
exit 101
END
  chmod 755 "$policy"
}
# finish is for every end but SIGKILL: apt may have been interrupted between two packages.
installing=
finish() {
  [ -z "$installing" ] || disable_new "$packages_before" "$enabled_before"
  [ -z "$made" ] || rm -f "$made"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq --no-install-recommends "$@" </dev/null; }

# harms says what an installation would do to packages that are there.
harms() {
  local plan
  plan=$(apt install -s "$@" 2>&1) || { printf '%s\n' "$plan" | tail -n 2; return; }
  grep -E '^Remv ' <<<"$plan" || true
  [ "${CI:-}" = true ] || grep -E '^Inst [^ ]+ \[' <<<"$plan" || true
}

install() { # name of the requirement, packages
  local name=$1 need harm log
  shift
  mapfile -t need < <(missing "$@")
  [ ${#need[@]} -gt 0 ] || return 0
  harm=$(harms "${need[@]}")
  if [ -n "$harm" ]; then
    say "$name: not installed (${need[*]}): $(head -n 3 <<<"$harm" | tr '\n' ' ')"
    return 0
  fi
  log=$(apt install "${need[@]}" 2>&1) ||
    say "$name: apt-get install ${need[*]}: $(tail -n 2 <<<"$log")"
}

# A service of a package that this script installed is not to start at the next boot either.
disable_new() { # packages and enabled units before
  local new unit
  mapfile -t new < <(comm -13 <(printf '%s\n' "$1") <(all))
  [ ${#new[@]} -gt 0 ] && command -v systemctl >/dev/null || return 0
  for unit in $(dpkg-query -L "${new[@]}" |
    sed -nE 's,^(/usr)?/lib/systemd/system/([^/]+\.(service|socket|timer|path))$,\2,p'); do
    if enabled | grep -qxF "$unit" && ! grep -qxF "$unit" <<<"$2"; then
      systemctl --root=/ disable "$unit" >/dev/null 2>&1 || say "cannot disable $unit, which is new"
    fi
  done
}

able() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

if ! command -v dpkg-query >/dev/null; then
  say "not a Debian: no packages are installed"
  exit 0
fi
lack=()
for w in "${wanted[@]}"; do
  read -ra words <<<"$w"
  mapfile -t -O "${#lack[@]}" lack < <(missing "${words[@]:1}")
done
if [ "${1:-}" = --list ]; then
  [ ${#lack[@]} -eq 0 ] || printf '%s\n' "${lack[@]}"
  exit 0
fi
if [ ${#lack[@]} -gt 0 ] && able; then
  packages_before=$(all) enabled_before=$(enabled)
  if hold_services; then
    installing=yes
    apt update >/dev/null 2>&1 || say "apt-get update failed: what is known already is tried"
    for w in "${wanted[@]}"; do
      read -ra words <<<"$w"
      install "${words[@]}"
    done
  else
    say "another run of this script is installing packages: this one installs none"
  fi
fi
met=
for w in "${wanted[@]}"; do
  read -ra words <<<"$w"
  mapfile -t lack < <(missing "${words[@]:1}")
  if [ ${#lack[@]} -eq 0 ]; then
    met=$met,${words[0]}
  else
    say "${words[0]}: missing ${lack[*]}"
  fi
done
printf '%s\n' "${met#,}"
