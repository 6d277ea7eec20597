#!/usr/bin/env bash
# The speed of maxconn load against the floor (floor.c, raw.c: the same system calls from C, as few as possible) and against
# other load generators where they are installed (wrk, ab), in turn and each in a network namespace of its own that
# goes away with it. Prints medians and ratios. Root, gcc, iproute2. Nothing of the host is changed.
#   bench/load.sh [churn] [ends] [peers] [cost] [raw] [hold] [rawhold]      all but the last two if none is named
#   ROUNDS=3 SECONDS_EACH=3 FOREIGN=10 HOLD=1000000 bench/load.sh hold                 a million connections take 8.4 GB of kernel memory
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${ROUNDS:-3} foreign=${FOREIGN:-10} each=${SECONDS_EACH:-3} hold=${HOLD:-1000000}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
gcc -O2 -pthread -o "$tmp/floor" bench/floor.c
gcc -O2 -o "$tmp/raw" bench/raw.c
go build -trimpath -o "$tmp/maxconn" ./cmd/maxconn
mc=$tmp/maxconn floor=$tmp/floor
export mc floor tmp each hold

# inside runs a script in a namespace with lo up and all ports; what it leaves running is ended and waited for, so that its CPU time is
# counted as ours.
inside() {
  unshare --net --pid --fork --kill-child --mount-proc bash -euo pipefail -c "
    ip link set lo up
    sysctl -qw net.ipv4.ip_local_port_range='1024 65535' net.ipv4.tcp_tw_reuse=1 net.core.somaxconn=65535 net.ipv4.tcp_max_syn_backlog=262144
    $1
    { kill \$(jobs -p) && wait; } 2>/dev/null || true" 2>>"$tmp/errors" || { echo "failed: $1" >&2; cat "$tmp/errors" >&2; exit 1; }
}
# Each of these prints "rate cpu": connections a second, microseconds of CPU time for each at this end (floor pair, load pair: both).
floor_says='sed -nE "s|.* = ([0-9]+)/s .*\(([0-9.]+) us/conn\).*|\1 \2|p"'
load_says='python3 -c "import json,sys; r=json.load(sys.stdin); print(round(r[\"rate\"]), round(r[\"cpu_us_per_connection\"],2))"'
export floor_says load_says
export -f inside

# compare NAME FLOOR MAXCONN: medians of both, in turn. A round in which others took more than FOREIGN % of the CPUs is left
# out (unless all are: then the line says so).
compare() {
  python3 - "$1" "$2" "$3" "$rounds" "$foreign" <<'PY'
import os, resource, statistics, subprocess, sys, time
name, floor, ours, rounds, most = *sys.argv[1:4], int(sys.argv[4]), float(sys.argv[5])
def busy():
    f = [int(x) for x in open("/proc/stat").readline().split()[1:9]]
    return (sum(f) - f[3] - f[4]) / os.sysconf("SC_CLK_TCK")
def own():
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime
def run(script):
    b, o, t = busy(), own(), time.time()
    words = subprocess.run(["bash", "-c", 'inside "$0"', script], check=True, capture_output=True, text=True).stdout.split()
    others = 100 * max(busy() - b - (own() - o), 0) / ((time.time() - t) * os.cpu_count())
    return float(words[0]), float(words[1]), others
all_ = [(run(floor), run(ours)) for _ in range(rounds)]
quiet = [r for r in all_ if max(r[0][2], r[1][2]) <= most]
rows = quiet or all_
med = lambda end, i: statistics.median(r[end][i] for r in rows)
ratio = statistics.median(o[0] / f[0] for f, o in rows)
cpu = statistics.median(o[1] / f[1] for f, o in rows) if med(0, 1) else float("nan")
others = max(max(r[0][2], r[1][2]) for r in rows)
print(f"{name:<44} {med(0,0):>9,.0f}/s {med(0,1):>7.2f} us   {med(1,0):>9,.0f}/s {med(1,1):>7.2f} us   rate {ratio:5.2f}  CPU {cpu:5.2f}   "
      f"{len(rows)} of {rounds} rounds, others up to {others:.0f} % of the CPUs{'' if quiet else ': DISTURBED'}", flush=True)
PY
}

head_line() { printf '\n%-44s %20s   %20s\n' "$1" "$2" "$3"; }

churn() {
  head_line 'both ends in one process, two threads' 'floor pair' 'load pair'
  while read -r name flags close; do
    compare "$name" "$floor pair -t 2 -T $each ${flags//_/ } | eval \"\$floor_says\"" "$mc load pair --threads 2 --for ${each}s --close $close --json | eval \"\$load_says\""
  done <<'LIST'
client_resets -c_rst rst
socket_reused -c_unspec_-L reuse
server_resets -c_peer_-L server-rst
client_closes -c_fin fin
server_closes -c_peer server-fin
LIST
}

ends() {
  head_line 'two processes, a thread each; CPU of the client' 'floor srv, cli' 'load serve, connect'
  compare 'client resets' "$floor srv -t 1 -T 60 >/dev/null & sleep 0.5; $floor cli -t 1 -T $each -c rst | eval \"\$floor_says\"" \
    "$mc load serve 127.0.0.1:7000 --threads 1 >/dev/null & sleep 0.5; $mc load connect 127.0.0.1:7000 --threads 1 --for ${each}s --json | eval \"\$load_says\""
  compare 'client closes' "$floor srv -t 1 -T 60 >/dev/null & sleep 0.5; $floor cli -t 1 -T $each -c fin | eval \"\$floor_says\"" \
    "$mc load serve 127.0.0.1:7000 --threads 1 >/dev/null & sleep 0.5; $mc load connect 127.0.0.1:7000 --threads 1 --for ${each}s --close fin --json | eval \"\$load_says\""
}

http='GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
peers() {
  head_line 'a request and an answer on each' 'the peer' 'load connect'
  local ours="$floor srv -t 1 -T 60 -h 1 >/dev/null & sleep 0.5; $mc load connect 127.0.0.1:7000 --threads 1 --window 50 --for ${each}s --close fin --send '$http' --expect 59 --json | eval \"\$load_says\""
  if command -v wrk >/dev/null; then
    compare 'wrk -t1 -c50 (its CPU is not shown by it)' "$floor srv -t 1 -T 60 -h 1 >/dev/null & sleep 0.5; wrk -t1 -c50 -d${each}s -H 'Connection: close' http://127.0.0.1:7000/ | awk '/Requests.sec/ {print \$2, 0}'" "$ours"
  else echo "wrk: not installed, skipped"; fi
  if command -v ab >/dev/null; then
    compare 'ab -c50 (its CPU is not shown by it)' "$floor srv -t 1 -T 60 -h 1 >/dev/null & sleep 0.5; ab -q -c 50 -t $each -n 10000000 http://127.0.0.1:7000/ | awk '/Requests per second/ {print \$4, 0}'" "$ours"
  else echo "ab: not installed, skipped"; fi
  if command -v tcp_crr >/dev/null; then # neper; one byte there and one back, then the client resets; both ends its own
    compare 'tcp_crr -T 1 -F 32 (neper, both ends its own)' "tcp_crr --nolog -T 1 -F 32 -l $((each + 2)) >/dev/null 2>&1 & sleep 0.5; tcp_crr --nolog -T 1 -F 32 -l $each -c -H 127.0.0.1 | sed -nE 's/^throughput=([0-9.]+).*/\1 0/p'" \
      "$mc load serve 127.0.0.1:7000 --threads 1 --answer y >/dev/null & sleep 0.5; $mc load connect 127.0.0.1:7000 --threads 1 --window 32 --for ${each}s --send x --expect 1 --json | eval \"\$load_says\""
  else echo "tcp_crr (neper): not installed, skipped"; fi
  if command -v tcpkali >/dev/null; then # connects and closes; it shows no rate: the server's count is taken
    compare 'tcpkali -c200 --channel-lifetime 1ms' "$floor srv -t 1 -T $((each + 1)) >$tmp/srv & sleep 0.5; tcpkali -w 1 -c 200 --connect-rate 200k --channel-lifetime 0.001s -T $each 127.0.0.1:7000 >/dev/null 2>&1 || true; wait; awk -v s=$each '/accepted/ {print \$3 / s, 0}' $tmp/srv" \
      "$floor srv -t 1 -T 60 >/dev/null & sleep 0.5; $mc load connect 127.0.0.1:7000 --threads 1 --window 200 --for ${each}s --close fin --json | eval \"\$load_says\""
  else echo "tcpkali: not installed, skipped"; fi
}

cost() {
  head_line 'what measuring costs, both ends here' 'without times' 'with times and a live line'
  compare 'client resets' "$mc load pair --threads 2 --for ${each}s --no-histogram --json | eval \"\$load_says\"" \
    "script -qec '$mc load pair --threads 2 --for ${each}s --json >$tmp/out.json' /dev/null >/dev/null; eval \"\$load_says\" <$tmp/out.json"
}

# A veth pair: the client's end has no address, the server's answers for it by a static neighbour.
link='ip link add va type veth peer name vb
unshare --net sleep 600 & sleep 0.3; other=$!; ip link set va netns $other
nsenter -t $other -n ip link set va up; ip link set vb up; ip addr add 10.64.0.1/11 dev vb
sysctl -qw net.ipv4.tcp_syncookies=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.vb.rp_filter=0
va=$(nsenter -t $other -n ip -br link show va | awk "{print \$3}"); vb=$(ip -br link show vb | awk "{print \$3}")
for i in $(seq 0 79); do ip neigh replace 10.64.1.$i lladdr $va dev vb nud permanent; done'

raw() {
  head_line 'without client sockets, churn; CPU of the client' 'raw.c' 'load connect --raw'
  compare 'floor srv accepts' "$link; $floor srv -d 10.64.0.1 -t 1 -T 60 >/dev/null & sleep 0.5; nsenter -t \$other -n $tmp/raw -i va -x \$vb -s 10.64.1.0 -S 16 -d 10.64.0.1 -m crr -T $each -w 4096 | eval \"\$floor_says\"" \
    "$link; $floor srv -d 10.64.0.1 -t 1 -T 60 >/dev/null & sleep 0.5; nsenter -t \$other -n $mc load connect 10.64.0.1:7000 --raw --device va --source 10.64.1.0-10.64.1.15 --ports 1024-65535 --window 4096 --for ${each}s --i-own-the-target --i-own-the-sources --json | eval \"\$load_says\""
}

hold() {
  local n=$hold t=$((hold / 18000 + 1))
  head_line "$n held, both ends here; CPU of the client or both" 'floor srv, cli' 'load pair'
  rounds=1 compare 'opened and held' "$floor srv -t $t -U -T 300 >/dev/null & sleep 1; $floor cli -n $n -t $t -U -b explicit -s 127.1.0.1 -S $((n / 64512 + 1)) -q $n -H 1 >$tmp/held; awk '/^held/ {gsub(/[^0-9]/,\"\",\$6); r=\$6} END {print r, 0}' $tmp/held" \
    "$mc load pair --connections $n --hold 5s --json >$tmp/held.json; eval \"\$load_says\" <$tmp/held.json"
  python3 - "$tmp/held.json" <<'PY'
import json, sys
r = json.load(open(sys.argv[1]))
b, s = r["bytes_per_connection"], [x for x in r["series"] if x["t"] > r["seconds"] + 1 and x["open"] == r["held"]]
idle = (s[-1]["cpu_s"] - s[0]["cpu_s"]) / (s[-1]["t"] - s[0]["t"]) if len(s) > 1 else float("nan")
rates = [x["per_second"] for x in r["series"] if 1.5 < x["t"] < r["seconds"] - 1]
print(f"  established {r['established']:,} in {r['seconds']:.1f} s; kernel {b['kernel']} B, user {b['user']} B a connection ({b['user_total']>>20} MiB); kernel counts {r['sockstat_held']['inuse']:,} sockets;"
      f" idle CPU {100*idle:.2f} %; rate by second: first third {sum(rates[:len(rates)//3])/max(len(rates)//3,1):,.0f}, last third {sum(rates[-(len(rates)//3 or 1):])/(len(rates)//3 or 1):,.0f}")
PY
}

rawhold() {
  head_line "$hold held by the server alone; CPU of the client" 'raw.c' 'load connect --raw'
  local t=$((hold / 18000 + 2)) n=$((hold / 64512 + 1))
  rounds=1 compare 'opened and held' "$link; $floor srv -d 10.64.0.1 -t $t -U -T 300 >/dev/null & sleep 1; nsenter -t \$other -n $tmp/raw -i va -x \$vb -s 10.64.1.0 -S $n -n $hold -d 10.64.0.1 -w 2048 -H 1 | eval \"\$floor_says\"" \
    "$link; $floor srv -d 10.64.0.1 -t $t -U -T 300 >/dev/null & sleep 1; nsenter -t \$other -n $mc load connect 10.64.0.1:7000 --raw --device va --source 10.64.1.0-10.64.1.$((n - 1)) --ports 1024-65535 --window 2048 --connections $hold --hold 1s --i-own-the-target --i-own-the-sources --json | eval \"\$load_says\""
}

for what in "${@:-churn ends peers cost raw}"; do for w in $what; do "$w"; done; done
