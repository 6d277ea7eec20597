package plan

import (
	"testing"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

func parsed(t *testing.T, facts string) host.Snapshot {
	t.Helper()
	s, err := host.Parse([]byte("maxconn.snapshot/1\n" + facts + "end\n"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const basics = `
sysctl net.ipv4.ip_local_port_range = 32768 60999
sysctl net.ipv4.ip_local_reserved_ports =
sysctl net.core.somaxconn = 4096
ports bound =
ports listening = 443
system kernel = 6.18.0
`

// Without a workload a plan does what the findings say, once.
func TestMend(t *testing.T) {
	for name, c := range map[string]struct {
		facts   string
		changes []string
		verdict diagnose.Verdict
	}{
		"a device whose queue was cut short and drops": {
			`link eth0 = index=2 kind=hardware up=yes mtu=1500 txqueuelen=100 qdisc=pfifo_fast
qdisc eth0/root = kind=pfifo_fast link=eth0 backlog=0 packets=100000 drops=500 overlimits=0 root=yes
system window = 10s
moved qdisc/eth0/root/drops = 50
`, []string{"txqueuelen of eth0: 100 to 1000"}, diagnose.Holds},
		"one with the usual length": {
			`link eth0 = index=2 kind=hardware up=yes mtu=1500 txqueuelen=1000 qdisc=pfifo_fast
qdisc eth0/root = kind=pfifo_fast link=eth0 backlog=0 packets=100000 drops=500 overlimits=0 root=yes
system window = 10s
moved qdisc/eth0/root/drops = 50
`, nil, diagnose.Binds},
		"a neighbour table that is nearly full": {
			`neighbour arp.entries = 1000
neighbour arp.table_fulls = 3
sysctl net.ipv4.neigh.default.gc_thresh1 = 128
sysctl net.ipv4.neigh.default.gc_thresh2 = 512
sysctl net.ipv4.neigh.default.gc_thresh3 = 1024
system window = 10s
moved neighbour/arp.table_fulls = 3
`, []string{"net.ipv4.neigh.default.gc_thresh3: 1024 to 2048",
				"net.ipv4.neigh.default.gc_thresh2: 512 to 1024",
				"net.ipv4.neigh.default.gc_thresh1: 128 to 256"}, diagnose.Holds},
		"the same from a child namespace": {
			`neighbour own.ipv4 = 1000
sysctl net.ipv4.neigh.default.gc_thresh1 = 128
sysctl net.ipv4.neigh.default.gc_thresh2 = 512
sysctl net.ipv4.neigh.default.gc_thresh3 = 1024
system scope = child
`, nil, diagnose.Binds},
		"a full table of closed connections": {
			`sysctl net.ipv4.tcp_max_tw_buckets = 4096
sockstat TCP.tw = 4096
counter TcpExt.TCPTimeWaitOverflow = 9
`, []string{"net.ipv4.tcp_max_tw_buckets: 4096 to 8192"}, diagnose.Holds},
		"ports in TIME_WAIT that tcp_tw_reuse does not act on": {
			`sysctl net.ipv4.tcp_tw_reuse = 2
sysctl net.ipv4.tcp_timestamps = 1
system bound-sockets = listed
outbound 10.0.0.1->10.0.0.9:5432 = TIME_WAIT=28232 ranged=28232 timestamps=yes
`, []string{"net.ipv4.tcp_tw_reuse: 2 to 1"}, diagnose.Holds},
		"ports in FIN_WAIT_2 for a long timeout": {
			`sysctl net.ipv4.tcp_fin_timeout = 300
system bound-sockets = listed
outbound 10.0.0.1->10.0.0.9:5432 = FIN_WAIT_2=28232 ranged=28232
`, []string{"net.ipv4.tcp_fin_timeout: 300 to 60"}, diagnose.Binds}, // the peers are left
		"ports in FIN_WAIT_2 for the usual timeout": {
			`sysctl net.ipv4.tcp_fin_timeout = 60
system bound-sockets = listed
outbound 10.0.0.1->10.0.0.9:5432 = FIN_WAIT_2=28232 ranged=28232
`, nil, diagnose.Binds},
		"ports of attempts that nobody answers": {
			`sysctl net.ipv4.tcp_syn_retries = 6
system bound-sockets = listed
outbound 10.0.0.1->10.0.0.9:5432 = SYN_SENT=28232 ranged=28232
`, nil, diagnose.Binds},
		"ports that a program does not close": {
			`system bound-sockets = listed
outbound 10.0.0.1->10.0.0.9:5432 = CLOSE_WAIT=28232 ranged=28232
`, nil, diagnose.Binds},
		"half-open connections without SYN cookies": {
			`sysctl net.ipv4.tcp_syncookies = 0
sysctl net.ipv4.tcp_max_syn_backlog = 4096
listener 0.0.0.0:80 = family=4 queue=0 limit=16 syn=17 drops=9 pid=5 process=web backlog=16
counter TcpExt.TCPReqQFullDrop = 9
counter TcpExt.ListenDrops = 9
counter TcpExt.ListenOverflows = 0
`, []string{"net.ipv4.tcp_syncookies: 0 to 1"}, diagnose.Holds},
		"a program that leaks is not given more": {
			`process 7 = name=leaky uid=1 soft=1024 hard=4096 files=1024 sockets=1000 attributed=all CLOSE_WAIT=1000
`, nil, diagnose.Binds},
	} {
		s := parsed(t, basics+c.facts)
		p, err := Make(s, limit.Workload{}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, x := range p.Changes {
			have = append(have, x.Setting+": "+x.From+" to "+x.To)
		}
		again, err := Make(s.With(p.Settings()...), limit.Workload{}, Options{})
		if err != nil || len(again.Changes) > 0 {
			t.Errorf("%s: a second plan has changes: %v", name, again.Changes)
		}
		if p.Verdict != c.verdict || len(have) != len(c.changes) {
			t.Errorf("%s: %s, %q\n%s", name, p.Verdict, have, shownPlan(p))
			continue
		}
		for i, want := range c.changes {
			if have[i] != want {
				t.Errorf("%s: %q, want %q", name, have[i], want)
			}
		}
	}
}

// tcp_timestamps stay off where tcp_tw_recycle would make them drop clients.
func TestTimestampsAndRecycle(t *testing.T) {
	w := limit.Workload{Outbound: []limit.Goal{{Subject: "10.0.0.9:80", PerSecond: 5000}}}
	facts := basics + "sysctl net.ipv4.tcp_tw_reuse = 1\nsysctl net.ipv4.tcp_timestamps = 0\n"
	for recycle, changes := range map[string]int{
		"":                                     1,
		"sysctl net.ipv4.tcp_tw_recycle = 0\n": 1,
		"sysctl net.ipv4.tcp_tw_recycle = 1\n": 0,
	} {
		p, err := Make(parsed(t, facts+recycle), w, Options{})
		if err != nil || len(p.Changes) != changes ||
			(p.Verdict == diagnose.Binds) != (changes == 0) {
			t.Errorf("%q: %v %s", recycle, err, shownPlan(p))
		}
	}
}

func TestGoalsThatMeanNothing(t *testing.T) {
	for _, w := range []limit.Workload{
		{Inbound: []limit.Goal{{Subject: "", Held: 1}}},
		{Inbound: []limit.Goal{{Subject: ":80"}}},
		{Inbound: []limit.Goal{{Subject: ":80", Held: -1}}},
		{Outbound: []limit.Goal{{Subject: "10.0.0.9:80", Burst: 1}}},
	} {
		if _, err := Make(parsed(t, basics), w, Options{}); err == nil {
			t.Errorf("%+v is taken", w)
		}
	}
}
