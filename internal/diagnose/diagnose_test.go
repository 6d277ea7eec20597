package diagnose

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

const ports = `sysctl net.ipv4.ip_local_port_range = 32768 60999
sysctl net.ipv4.ip_local_reserved_ports =
sysctl net.ipv4.tcp_tw_reuse = 2
sysctl net.ipv4.tcp_timestamps = 1
sysctl net.core.somaxconn = 4096
system bound-sockets = listed
system kernel = 6.18.0
ports bound =
ports listening = 443
`

func snapshot(t *testing.T, facts string) host.Snapshot {
	t.Helper()
	s, err := host.Parse([]byte("maxconn.snapshot/1\n" + facts + "end\n"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// idle is a recorded host without its sockets and processes, on which the facts hold: nothing is
// unknown of it.
func idle(t *testing.T, facts string) host.Snapshot {
	t.Helper()
	text, err := os.ReadFile("../../testdata/hosts/small-vm.txt")
	if err != nil {
		t.Fatal(err)
	}
	recorded, err := host.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	s := snapshot(t, facts)
	for _, f := range recorded.Facts() {
		x, _ := recorded.Lookup(f)
		_, told := s.Lookup(f)
		switch sockets := f.Kind.IsTable() && f.Kind != host.LinkKind &&
			f.Kind != host.QdiscKind && f.Kind != host.SoftnetKind; {
		case told, sockets:
		case x.Err != "":
			s.Miss(f, x.Err)
		default:
			s.Set(f, x.Text)
		}
	}
	return s
}

func TestQuotedArithmetic(t *testing.T) {
	for portRange, want := range map[string]struct{ held, rate int64 }{
		"32768 60999": {28232, 470},
		"15000 61000": {46001, 766},
	} {
		s := snapshot(t, ports).With(
			host.Setting{Fact: host.Sysctl("net.ipv4.ip_local_port_range"),
				Want: portRange},
			host.Setting{Fact: host.Sysctl("net.ipv4.tcp_fin_timeout"), Want: "30"})
		got := Check(s, Options{}).Capacity.Outbound[0]
		if got.Held != want.held || got.BoundBy != "ephemeral-ports" ||
			got.PerSecond != want.rate || got.RateBy != "time-wait" {
			t.Errorf("range %s: %+v, want %+v", portRange, got, want)
		}
	}
}

func TestWorstFirst(t *testing.T) {
	r := Check(snapshot(t, ports+`
listener 0.0.0.0:80 = family=4 queue=0 limit=128 drops=7 pid=5 process=web backlog=128
listener 0.0.0.0:81 = family=4 queue=6 limit=5 drops=7 pid=6 process=app backlog=5
listener 0.0.0.0:82 = family=4 queue=60 limit=128 drops=0 pid=7 process=slow backlog=128 oldest=10s youngest=0s
`), Options{Limits: []string{"accept-queue"}})
	var got []string
	for _, f := range r.Findings {
		got = append(got, string(f.Severity)+" "+f.Subject)
	}
	if d := cmp.Diff([]string{"critical 0.0.0.0:81", "warning 0.0.0.0:82", "info 0.0.0.0:80"},
		got); d != "" {
		t.Error(d)
	}
	if r.Verdict != Binds {
		t.Errorf("verdict %s", r.Verdict)
	}
}

// A process without descriptors cannot accept: that comes before its full queue, however many were
// refused there.
func TestCauseBeforeConsequence(t *testing.T) {
	r := Check(snapshot(t, ports+`
system window = 10s
process 6 = name=app uid=1000 start=1 state=S soft=100 hard=100 files=100 sockets=5 attributed=all ESTABLISHED=5
listener 0.0.0.0:81 = family=4 queue=6 limit=5 drops=700 pid=6 process=app backlog=5 oldest=10s youngest=10s
listener 0.0.0.0:82 = family=4 queue=6 limit=5 drops=7 pid=7 process=web backlog=5
moved listener/0.0.0.0:81/drops = 700
moved listener/0.0.0.0:82/drops = 7
counter TcpExt.ListenOverflows = 707
moved counter/TcpExt.ListenOverflows = 707
`), Options{Limits: []string{"accept-queue", "process-files"}})
	var got []string
	for _, f := range r.Findings {
		got = append(got, f.Limit+" "+f.Subject)
	}
	if d := cmp.Diff([]string{"accept-queue 0.0.0.0:82", "process-files app (pid 6)",
		"accept-queue 0.0.0.0:81"}, got); d != "" {
		t.Errorf("%s\n%+v", d, r.Findings)
	}
}

// Ports that connections in FIN_WAIT_2 hold are that limit's to explain: they come first, and once.
func TestFinWaitIsTheCause(t *testing.T) {
	s := snapshot(t, ports+`sysctl net.ipv4.tcp_fin_timeout = 60
outbound 10.0.0.1->10.0.0.9:5432 = FIN_WAIT_2=28232 ranged=28232 pid=5 process=app timestamps=yes
`)
	r := Check(s, Options{Limits: []string{"ephemeral-ports", "fin-wait"}})
	var got []string
	for _, f := range r.Findings {
		got = append(got, string(f.Severity)+" "+f.Limit+" "+f.Subject)
	}
	if d := cmp.Diff([]string{"critical fin-wait 10.0.0.1 -> 10.0.0.9:5432",
		"warning fin-wait this network namespace"}, got); d != "" {
		t.Error(d)
	}
	if o := r.Capacity.Outbound[1]; o.Held != 28232 || o.BoundBy != "ephemeral-ports" {
		t.Errorf("%+v", o)
	}
}

// A program that binds before it connects has one set of ports for all destinations.
func TestBoundBeforeConnectSharesPorts(t *testing.T) {
	r := Check(snapshot(t, ports+`
outbound 10.0.0.1->10.0.0.9:5432 = ESTABLISHED=3000 ranged=3000 pid=5 process=app timestamps=yes
outbound 10.0.0.1->10.0.0.8:5432 = ESTABLISHED=1000 ranged=1000 pid=5 process=app timestamps=yes
source 10.0.0.1 = sockets=4000 destinations=2 ports=4000 shared=0 opposite=4000
`), Options{})
	for i, want := range []int64{28232, 27232, 25232} {
		if have := r.Capacity.Outbound[i].Held; have != want {
			t.Errorf("row %d: %d, want %d", i, have, want)
		}
	}
}

// fs.file-max binds nobody who has CAP_SYS_ADMIN (fs/file_table.c alloc_empty_file).
func TestSystemFilesSparesAdministrators(t *testing.T) {
	facts := ports + `sysctl fs.file-nr = 500 0 10000
sysctl fs.file-max = 10000
listener 0.0.0.0:443 = family=4 queue=0 limit=128 drops=0 pid=5 process=web
`
	for process, want := range map[string]Inbound{
		"uid=0 sysadmin=yes": {Held: 60000, BoundBy: "process-files"},
		"uid=0 sysadmin=no":  {Held: 10000, BoundBy: "system-files"},
		"uid=33 sysadmin=no": {Held: 10000, BoundBy: "system-files"},
		"uid=33":             {Held: 10000, BoundBy: "system-files"},
		"uid=0": {Held: 10000, BoundBy: "system-files", AtMostWhy: []string{
			"whether system-files binds the process is not known"}},
	} {
		s := idle(t, facts+"process 5 = name=web threads=1 nproc=9 "+process+
			" soft=60000 hard=60000 files=0 sockets=0 attributed=all\n")
		have := Check(s, Options{}).Capacity.Inbound[0]
		if have.Held != want.Held || have.BoundBy != want.BoundBy ||
			!slices.Equal(have.AtMostWhy, append([]string{insideProgram},
				want.AtMostWhy...)) {
			t.Errorf("%s: %d by %s, at most %q", process, have.Held, have.BoundBy,
				have.AtMostWhy)
		}
	}
}

const insideProgram = "a limit inside the program cannot be seen"

// A figure of a program's connections is exact only where it is reached: what the program allows
// itself no kernel knows, and its configuration is no more than a bound (D13).
func TestFiguresOfPrograms(t *testing.T) {
	facts := ports + "sysctl fs.file-max = 1000000\nsysctl fs.file-nr = 500 0 1000000\n"
	listener := "listener 0.0.0.0:443 = family=4 queue=0 limit=128 drops=0 process=nginx pid=5"
	server, workers := listener+"\n", listener+" pids=5,6,7\n"
	worker := " = name=nginx uid=33 sysadmin=no soft=1000 hard=1000 files=20 sockets=1 " +
		"attributed=all cgroup=/ epoll=1"
	own := " own_limit_name=worker_connections own_limit_counts=all"
	for name, c := range map[string]struct {
		facts  string
		held   int64
		by     string
		atMost bool
		why    string
	}{
		"unknown program": {server + "process 5" + worker + "\n", 980, "process-files",
			true, insideProgram},
		"reached": {server + "inbound 0.0.0.0:443 = ESTABLISHED=980\n" +
			"process 5 = name=a uid=33 sysadmin=no soft=1000 hard=1000 files=1000 sockets=981 " +
			"attributed=all cgroup=/ ESTABLISHED=980\n", 980, "process-files",
			false, ""},
		"configuration of two workers": {workers + "process 5 = name=nginx soft=1000 " +
			"hard=1000 files=20 attributed=all epoll=0\nprocess 6" + worker +
			" own_limit=60" + own + "\nprocess 7" + worker + " own_limit=60" + own +
			"\n",
			120, "program-limit", true, "worker_connections counts"},
		"configuration of one worker of two": {workers + "process 5 = name=nginx soft=1000 " +
			"hard=1000 files=20 attributed=all epoll=0\nprocess 6" + worker +
			" own_limit=60" + own + "\nprocess 7" + worker + "\n",
			1960, "process-files", true, insideProgram},
		"a worker that was not seen": {workers + "process 5" + worker + "\nprocess 6" +
			worker + "\n", 1000000, "system-files", true, insideProgram},
		"configuration above the descriptors": {server + "process 5" + worker +
			" own_limit=6000" + own + "\n",
			980, "process-files", true, insideProgram},
		"cgroup not mounted": {server + "process 5 = name=nginx uid=33 sysadmin=no soft=1000 " +
			"hard=1000 files=20 attributed=all unseen_cgroup=yes\n", 980,
			"process-files", true, "limits of its cgroup could not be seen"},
		"cgroups around a container": {server + "process 5" +
			strings.ReplaceAll(worker, "cgroup=/", "cgroup=/c") + "\n" +
			"cgroup /c = version=2 memory_max=max above=unseen\n", 980, "process-files",
			true, "limits of the cgroups around this container cannot be seen"},
	} {
		t.Run(name, func(t *testing.T) {
			have := Check(snapshot(t, facts+c.facts+"cgroup / = version=2\n"),
				Options{}).Capacity.Inbound[0]
			words := strings.Join(have.AtMostWhy, "; ")
			if have.Held != c.held || have.BoundBy != c.by || have.AtMost != c.atMost ||
				!strings.Contains(words, c.why) || (words == "") != (c.why == "") {
				t.Errorf("%d by %s, at most %v %q", have.Held, have.BoundBy,
					have.AtMost, words)
			}
		})
	}
}

// The sockets of a destination may have a part of the port range only (IP_LOCAL_PORT_RANGE).
func TestPortRangeOfSockets(t *testing.T) {
	row := "outbound 10.0.0.1->10.0.0.9:5432 = ESTABLISHED=%d ranged=%d pid=5 process=app " +
		"timestamps=yes %s\nprocess 5 = name=app soft=60000 hard=60000 files=900 " +
		"attributed=all cgroup=/ ESTABLISHED=%d\ncgroup / = version=2\n"
	for _, c := range []struct {
		now    int
		band   string
		held   int64
		atMost bool
		rate   int64
	}{
		{5, "", 28232, true, 470},
		{5, "band=40000-40019", 20, true, 1},
		{20, "band=40000-40019", 20, false, 1},
		{21, "band=40000-40019", 28232, true, 470}, // others have none
		{5, "band=mixed", 28232, true, 470},
		{5, "band=1-70000", 28232, true, 470},
		{5, "band=x", 28232, true, 470},
	} {
		o := Check(snapshot(t, ports+fmt.Sprintf(row, c.now, c.now, c.band, c.now)),
			Options{}).Capacity.Outbound[1]
		if o.Held != c.held || o.AtMost != c.atMost || o.PerSecond != c.rate ||
			!o.RateAtMost {
			t.Errorf("%d %s: holds %d, at most %v, %d/s, at most %v", c.now, c.band, o.Held,
				o.AtMost, o.PerSecond, o.RateAtMost)
		}
	}
}

func TestVerdictUnknownWithoutEssentials(t *testing.T) {
	s := idle(t, ports)
	if v := Check(s, Options{}).Verdict; v != Holds {
		t.Errorf("healthy: %s", v)
	}
	s.Hide(host.Sysctl("net.ipv4.ip_local_port_range"), "permission denied")
	r := Check(s, Options{})
	if r.Verdict != Unknown {
		t.Errorf("without the port range: %s", r.Verdict)
	}
	i := slices.IndexFunc(r.Unseen, func(u Unseen) bool {
		return u.Fact == "sysctl net.ipv4.ip_local_port_range"
	})
	if i < 0 || r.Unseen[i].Why != "permission denied" ||
		!slices.Contains(r.Unseen[i].Limits, "ephemeral-ports") {
		t.Errorf("unseen: %+v", r.Unseen)
	}
}

func TestInboundCountsEachProcessOfAGroup(t *testing.T) {
	facts := ports + `
listener 0.0.0.0:80 = family=4 queue=0 limit=128 drops=0 pid=5 process=web backlog=128
listener 0.0.0.0:80~2 = family=4 queue=0 limit=128 drops=0 pid=6 process=web backlog=128
listener 0.0.0.0:8080 = family=4 queue=0 limit=128 drops=0 pid=6 process=web backlog=128
process 5 = name=web soft=1024 hard=4096 files=24 sockets=4 attributed=all
process 6 = name=web soft=1024 hard=4096 files=24 sockets=4 attributed=all
`
	in := Check(snapshot(t, facts), Options{}).Capacity.Inbound
	held := map[string]int64{}
	for _, l := range in {
		held[l.Listener] = l.Held
		if l.BoundBy != "process-files" {
			t.Errorf("%s is bound by %s", l.Listener, l.BoundBy)
		}
	}
	if held["0.0.0.0:80"] != 2*held["0.0.0.0:8080"] || held["0.0.0.0:8080"] == 0 {
		t.Errorf("two processes hold twice as many: %v", held)
	}
}

func TestDemand(t *testing.T) {
	w := limit.Workload{Outbound: []limit.Goal{{Subject: "10.0.0.9:5432", Held: 40000,
		PerSecond: 100}}}
	r := Check(snapshot(t, ports), Options{Workload: w})
	if len(r.Findings) != 1 {
		t.Fatalf("findings: %+v", r.Findings)
	}
	f := r.Findings[0]
	if f.Limit != "ephemeral-ports" || f.Severity != Warning || f.Demand != 40000 ||
		f.Ceiling != 28232 || f.Subject != "10.0.0.9:5432" {
		t.Errorf("%+v", f)
	}
	if len(f.Remedies) == 0 {
		t.Error("a demand that is not met comes with remedies")
	}
	w.Outbound[0].Held = 28232
	if r := Check(snapshot(t, ports), Options{Workload: w}); len(r.Findings) != 0 {
		t.Errorf("what fits is no finding: %+v", r.Findings)
	}
}

// The JSON form is a promise: every name of the contract is there, arrays are never null.
func TestJSONContract(t *testing.T) {
	b, err := json.Marshal(Check(snapshot(t,
		ports+"listener 0.0.0.0:81 = family=4 queue=6 limit=5 drops=7 pid=6 "+
			"process=app backlog=5\n"), Options{}))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	hasKeys(t, got, "schema", "host", "capacity", "findings", "unseen")
	capacity := got["capacity"].(map[string]any)
	hasKeys(t, capacity["outbound"].([]any)[0], "source", "destination", "held", "per_second",
		"bound_by")
	hasKeys(t, capacity["inbound"].([]any)[0], "listener", "process", "pid", "held", "burst",
		"bound_by")
	f := got["findings"].([]any)[0].(map[string]any)
	hasKeys(t, f, "limit", "severity", "subject", "process", "pid", "ceiling", "used", "cause",
		"evidence", "remedies", "sources")
	hasKeys(t, f["evidence"].([]any)[0], "fact", "value", "meaning")
	hasKeys(t, f["remedies"].([]any)[0], "kind", "setting", "from", "to", "text",
		"takes_effect")
}

func hasKeys(t *testing.T, v any, keys ...string) {
	t.Helper()
	m := v.(map[string]any)
	for _, k := range keys {
		if x, ok := m[k]; !ok || x == nil {
			t.Errorf("no %q in %v", k, m)
		}
	}
}
