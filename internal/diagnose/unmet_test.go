package diagnose

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/limit"
)

// two servers and a database client in one process, nginx with a master that takes no
// connections, a group that is shared.
const shop = ports + `
inbound 0.0.0.0:80 = ESTABLISHED=100 TIME_WAIT=50 unaccepted=0 pid=5 process=web
inbound 0.0.0.0:81 = ESTABLISHED=40 unaccepted=0 pid=5 process=web
listener 0.0.0.0:80 = family=4 queue=0 limit=128 drops=0 syn=0 pid=5 process=web backlog=128
listener 0.0.0.0:81 = family=4 queue=0 limit=128 drops=0 syn=0 pid=5 process=web backlog=128
listener 0.0.0.0:82 = family=4 queue=0 limit=128 drops=0 syn=0 pid=7 process=nginx backlog=128 pids=7,8,9
outbound 10.0.0.1->10.0.0.9:5432 = ESTABLISHED=60 ranged=60 pid=5 process=web timestamps=yes
process 5 = name=web uid=1 threads=1 nproc=9 soft=1024 hard=4096 files=224 sockets=204 attributed=all ESTABLISHED=200 epoll=1
process 7 = name=nginx uid=0 threads=1 nproc=9 soft=1024 hard=4096 files=24 sockets=4 attributed=all epoll=0
process 8 = name=nginx uid=2 threads=1 nproc=9 soft=1024 hard=4096 files=24 sockets=4 attributed=all epoll=1
process 9 = name=nginx uid=2 threads=1 nproc=9 soft=1024 hard=4096 files=24 sockets=4 attributed=all epoll=1
sysctl fs.file-nr = 3000 0 10000
sysctl fs.file-max = 10000
`

func held(subject string, held int64) limit.Goal { return limit.Goal{Subject: subject, Held: held} }

func TestNeeds(t *testing.T) {
	type row struct {
		Limit, Subject        string
		Want, Others, Ceiling int64
	}
	for name, c := range map[string]struct {
		w    limit.Workload
		t    Together
		want []row
	}{
		"what is there already counts once": {
			limit.Workload{Inbound: []limit.Goal{held(":80", 850)}}, AtOnce,
			[]row{}, // 850 and the 100 of the others fit into 1000
		},
		"beside the others of the process": {
			limit.Workload{Inbound: []limit.Goal{held(":80", 901)}}, AtOnce,
			[]row{{"process-files", "web (pid 5)", 901, 100, 1000}},
		},
		"goals of one process add up": {
			limit.Workload{Inbound: []limit.Goal{held(":80", 500), held(":81", 300)},
				Outbound: []limit.Goal{{Subject: "10.0.0.9:5432", Held: 250}}},
			AtOnce,
			[]row{{"process-files", "web (pid 5)", 1050, 0, 1000}},
		},
		"one by one they do not": {
			limit.Workload{Inbound: []limit.Goal{held(":80", 500), held(":81", 300)},
				Outbound: []limit.Goal{{Subject: "10.0.0.9:5432", Held: 250}}},
			OneByOne,
			[]row{},
		},
		"the same goal twice is one": {
			limit.Workload{Inbound: []limit.Goal{held(":80", 700), held(":80", 700)}},
			AtOnce,
			[]row{},
		},
		"workers share, their master has none": {
			limit.Workload{Inbound: []limit.Goal{held(":82", 2001)}}, AtOnce,
			[]row{{"process-files", "nginx (pid 8)", 1001, 0, 1000},
				{"process-files", "nginx (pid 9)", 1001, 0, 1000}},
		},
		"the host has other files open": {
			limit.Workload{Inbound: []limit.Goal{held(":82", 1900), held(":80", 900),
				held(":81", 4500)}}, AtOnce,
			[]row{{"process-files", "web (pid 5)", 5400, 60, 1000},
				{"system-files", "this host", 7300, 2860, 10000}},
		},
		"destinations do not add up": {
			limit.Workload{Outbound: []limit.Goal{{Subject: "10.0.0.8:80", Held: 20000},
				{Subject: "10.0.0.7:80", Held: 20000},
				{Subject: "10.0.0.6:80", PerSecond: 400}}}, AtOnce,
			[]row{{"system-files", "this host", 40000, 3000, 10000}},
		},
		"each destination for itself": {
			limit.Workload{Outbound: []limit.Goal{{Subject: "10.0.0.8:80",
				PerSecond: 471}, {Subject: "10.0.0.7:80", PerSecond: 470}}}, AtOnce,
			[]row{{"time-wait", "10.0.0.8:80", 471, 0, 470}},
		},
		"a burst meets the queue alone": {
			limit.Workload{Inbound: []limit.Goal{{Subject: ":81", Burst: 130}}}, AtOnce,
			[]row{{"accept-queue", "0.0.0.0:81", 130, 0, 129}},
		},
	} {
		needs, _ := Unmet(snapshot(t, shop), c.w, c.t)
		have := []row{}
		for _, n := range needs {
			have = append(have, row{string(n.Gauge.Limit.ID), n.Subject(), n.Want,
				n.Others, n.Gauge.Ceiling})
		}
		if d := cmp.Diff(c.want, have); d != "" {
			t.Errorf("%s: (-want +have)\n%s", name, d)
		}
	}
}

func TestUnowned(t *testing.T) {
	s := snapshot(t,
		shop+"listener 0.0.0.0:90 = family=4 queue=0 limit=128 drops=0\nlistener "+
			"0.0.0.0:91 = family=4 queue=0 limit=128 drops=0 pid=77\n")
	w := limit.Workload{Inbound: []limit.Goal{held(":80", 5), held(":90", 5), held(":91", 5),
		{Subject: ":90", Burst: 5}, held(":99", 5)}}
	if d := cmp.Diff([]string{":90", ":91"}, Unowned(s, w)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{":99"}, Unmatched(s, w)); d != "" {
		t.Error(d)
	}
}
