package main

import (
	"fmt"
	"strings"
)

const (
	beginLong = "maxconn.snapshot/1\nsystem kernel = 6.12.0\nsysctl " +
		"net.ipv4.ip_local_port_range = 32768 60999\n"
	beginSnapshot = "maxconn.snapshot/1\nsystem kernel = 6.12.0\nsystem scope = " +
		"initial\nsystem name = a\nsysctl net.core.somaxconn = 4096\nsysctl " +
		"net.ipv4.ip_local_port_range = 32768 60999\nsysctl " +
		"net.ipv4.ip_local_reserved_ports =\nsysctl net.ipv4.tcp_tw_reuse = 2\nsysctl " +
		"net.ipv4.tcp_timestamps = 1\nsysctl net.ipv4.tcp_syncookies = 1\nsysctl " +
		"net.ipv4.tcp_max_syn_backlog = 1024\nsysctl fs.file-max = 100000\nsysctl " +
		"fs.file-nr = 99999 0 100000\nports listening =\nmeminfo MemTotal = " +
		"8000000\nmeminfo MemAvailable = 4000000\nsystem page-size = 4096\n"
	endSnapshot = "end\n"
)

// tables are the rows that a hostile snapshot has without end, each with a verdict of its own.
var tables = []struct{ name, rows string }{
	{"listeners", "listener 10.0.0.0:%d = queue=6 limit=5 drops=9 pid=%d process=p\n"},
	{"listeners-own-process", "listener 1:%d = queue=6 limit=5 drops=9 pid=%d process=p\n" +
		"process %d = name=p uid=%d soft=10 hard=10 files=10 cgroup=/a/%d unit=u " +
		"epoll=1 attributed=all ESTABLISHED=9\n"},
	{"listeners-one-group",
		"listener 10.0.0.0:80~%d = queue=6 limit=5 drops=9 pid=%d process=p\n"},
	{"inbound", "listener 1:%d = queue=6 limit=5 pid=1\ninbound 1:%d = ESTABLISHED=9 " +
		"CLOSE_WAIT=9 close_wait_age=1h pid=%d process=p\n"},
	{"inbound-gone",
		"inbound 10.0.0.0:%d = ESTABLISHED=9 CLOSE_WAIT=99999 close_wait_age=1h pid=%d " +
			"process=p\n"},
	{"destinations", "outbound 10.0.0.1->9:%d = ESTABLISHED=30000 ranged=30000 pid=%d\n"},
	{"destinations-time-wait",
		"outbound 10.0.0.1->9:%d = TIME_WAIT=28231 ranged=28231 timestamps=yes\n"},
	{"destinations-closing",
		"outbound 10.0.0.1->9:%d = FIN_WAIT2=28231 SYN_SENT=1 CLOSE_WAIT=9 " +
			"close_wait_age=1h ranged=28231\n"},
	{"sources", "source 10.0.%d = sockets=30000 destinations=2 ports=28232 shared=1 " +
		"opposite=9\noutbound 10.0.%d->9:1 = ESTABLISHED=30000 ranged=30000\n"},
	{"processes", "process %d = name=p uid=%d soft=10 hard=10 files=10 threads=9 nproc=9 " +
		"epoll=1 attributed=all ESTABLISHED=9\n"},
	{"processes-close-wait",
		"process %d = name=p uid=0 soft=10 hard=10 files=10 CLOSE_WAIT=9 " +
			"unit=u%d.service cgroup=/c\n"},
	{"cgroups-flat",
		"cgroup /%d = version=2 memory_max=9 memory_current=9 memory_events_max=9 " +
			"memory_sock=9 pids_max=9 pids_current=9 pids_events_max=9\n" +
			"process %d = name=p soft=9 hard=9 files=9 cgroup=/%d\nlistener 1:%d = " +
			"queue=0 limit=5 pid=%d process=p\n"},
	{"links", "link d%d = index=%d kind=hardware up=yes mtu=1500 txqueuelen=9 qdisc=pfifo " +
		"addresses=2 backlog=rps tx_dropped=9\n"},
	{"qdiscs", "qdisc eth0/%d = kind=pfifo link=eth0 limit=9 unit=packets backlog=9 drops=9 " +
		"root=yes\nlink d%d = index=1 kind=hardware up=yes mtu=1500 txqueuelen=9 " +
		"qdisc=pfifo addresses=2\n"},
	{"qdiscs-own-link",
		"qdisc d%d/root = kind=pfifo link=d%d limit=9 unit=packets backlog=9 drops=9 " +
			"root=yes\nlink d%d = index=1 kind=hardware up=yes mtu=1500 txqueuelen=9 " +
			"qdisc=pfifo addresses=2\naddress 1.%d = link=d%d\n"},
	{"users", "user %d = sockets=9\nprocess %d = name=p uid=%d soft=9 hard=9 nproc=9 " +
		"files=9\n"},
	{"softnet", "softnet cpu%d = processed=9 dropped=9 squeezed=9 received_rps=1 " +
		"flow_limit=1 backlog=9\n"},
	{"binders", "binder %d = process=p ports=1-65535\n"},
	{"addresses", "address 1.%d = link=lo\n"},
	{"slabs", "slab s%d = active=9 objects=9 size=9\n"},
	{"rests", "rest k%d = ESTABLISHED=9 largest=9\n"},
	{"moved", "moved listener/1:%d/drops = 9\nlistener 1:%d = queue=6 limit=5 drops=9 " +
		"pid=%d\n"},
	{"unread", "sysctl s%d ! reason %d\n"},
	{"unread-rows", "listener 1:%d ! reason %d\n"},
	{"settings", "sysctl net.s%d = %d\n"},
	{"counters", "counter TcpExt.C%d = %d\n"},
	{"conntrack", "conntrack c%d = 9\n"},
	{"quoted-names", `sysctl "\x20%d" = "\u1234%d"` + "\n"},
	{"quoted-fields", `listener 1:%d = process="\u202e%d" cgroup="/\x20/a" queue=9 limit=1` +
		"\n"},
	{"all-tables", "listener 1:%d = queue=6 limit=5 pid=%d process=p\n" +
		"process %d = name=p uid=%d soft=10 hard=10 files=10 cgroup=/a/%d epoll=1\n" +
		"outbound 10.0.0.1->9:%d = ESTABLISHED=30000 ranged=30000 pid=%d\ncgroup /a/%d " +
		"= version=2 pids_max=9 pids_current=9\n"},
}

// snapshots are tables without end before each verb that reads one, and texts that are long
// in other ways.
func snapshots() (all []input) {
	for _, t := range tables {
		all = append(all, input{"check " + t.name, "check --from INPUT",
			numbered(beginSnapshot, t.rows, endSnapshot)})
	}
	for _, t := range tables[:13] {
		rows := numbered(beginSnapshot, t.rows, endSnapshot)
		all = append(all,
			input{"check --json " + t.name, "check --json --from INPUT", rows},
			input{"plan " + t.name, "plan --from INPUT", rows},
			input{"plan --to-max " + t.name, "plan --to-max --from INPUT", rows},
			input{"plan --inbound " + t.name,
				"plan --inbound :80=100k --outbound 9.9.9.9:9=500/s --from INPUT",
				rows})
	}
	for _, id := range []string{"accept-queue", "process-files", "time-wait", "ephemeral-ports",
		"tcp_fin_timeout"} {
		for _, t := range []int{1, 5} {
			all = append(all, input{"explain " + id + " " + tables[t].name,
				"explain " + id + " --from INPUT",
				numbered(beginSnapshot, tables[t].rows, endSnapshot)})
		}
	}
	return append(all, longLines()...)
}

// longLines are snapshots of few facts.
func longLines() (all []input) {
	for _, one := range []struct{ name, begin, text, end string }{
		{"ports", "sysctl net.ipv4.ip_local_reserved_ports = 1", ",1-65535", "\n"},
		{"ports-single", "sysctl net.ipv4.ip_local_reserved_ports = 1", ",1", "\n"},
		{"ports-wrong", "sysctl net.ipv4.ip_local_reserved_ports = 1", ",1", ",x\n"},
		{"listening", "ports listening = 1", ",1-65535", "\n"},
		{"binder", "binder 1 = ports=1", ",1-65535", "\n"},
		{"value", "sysctl net.ipv4.tcp_mem = 1", " 1", "\n"},
		{"quoted", `sysctl net.ipv4.tcp_mem = "`, `\u202e`, "\"\n"},
		{"fields", "listener 1:1 = queue=1", " limit=1", "\n"},
		{"pids", "listener 1:1 = queue=1 limit=5 pids=1", ",1", "\n"},
		{"name", "sysctl a", "b", " = 1\n"},
		{"cgroup-depth", "process 1 = name=a soft=9 hard=9 files=9 cgroup=/a", "/a", "\n"},
		{"no-newline", "", "a", ""},
		{"comments", "", "#\n", ""},
		{"process-name", "process 1 = soft=9 hard=9 files=9 name=a", "b", "\n"},
		{"kernel", "system user = a", "b", "\n"},
		{"reason", "listener * ! a", " b", "\n"},
		{"kind", "", "a-", " b = 1\n"},
	} {
		write := framed(beginLong+one.begin, one.text, one.end+endSnapshot)
		all = append(all, input{"check long " + one.name, "check --from INPUT", write},
			input{"plan long " + one.name, "plan --to-max --from INPUT", write},
			input{"lint for long " + one.name, "lint --from INPUT small.txt", write})
	}
	pids := numbered(beginSnapshot+"listener 1:1 = queue=6 limit=5 pids=1", ",%d",
		"\n"+endSnapshot)
	return append(all, input{"check pids-different", "check --from INPUT", pids},
		input{"check port lists", "check --from INPUT", portLists},
		input{"check deep cgroups", "check --from INPUT", deepCgroups},
		input{"check many holders", "check --from INPUT", manyHolders},
		input{"plan --to-max many holders", "plan --to-max --from INPUT", manyHolders},
		input{"check one process", "check --from INPUT", oneProcess},
		input{"plan --to-max one process", "plan --to-max --from INPUT", oneProcess},
		input{"check processes deep below", "check --from INPUT", deepProcesses},
		input{"explain an error", "explain EADDRNOTAVAIL --from INPUT",
			numbered(beginSnapshot, tables[0].rows, endSnapshot)})
}

// portLists has every other port reserved, in many lists.
func portLists(s *sized) {
	s.end(beginSnapshot)
	for i := 0; s.left > 0; i++ {
		s.add("binder %d = ports=", i)
		for p := 1; p < 65535 && s.add("%d,", p); p += 2 {
		}
		s.end("65535\n")
	}
	s.end(endSnapshot)
}

// deepCgroups is a chain, each with a process of its own.
func deepCgroups(s *sized) {
	s.end(beginSnapshot)
	path := ""
	for i := 1; ; i++ {
		path += "/a"
		row := fmt.Sprintf("cgroup %s = version=2 pids_max=9 pids_current=9 memory_max=9 "+
			"memory_current=9\n"+
			"process %d = name=p soft=9 hard=9 files=9 cgroup=%s\nlistener "+
			"1:%d = queue=0 limit=5 pid=%d process=p\n", path, i, path, i, i)
		if !s.add("%s", row) {
			break
		}
	}
	s.end(endSnapshot)
}

// deepProcesses are each far below the root, in a chain of cgroups of its own of which none
// was read.
func deepProcesses(s *sized) {
	numbered(beginSnapshot, "process %d = name=p soft=9 hard=9 files=9 cgroup=/%d"+
		strings.Repeat("/a", 4000)+"\n", endSnapshot)(s)
}

// manyHolders are listeners that the same thousands of processes hold.
func manyHolders(s *sized) {
	pids := "1"
	for i := 2; i < 1700; i++ {
		pids += fmt.Sprintf(",%d", i)
	}
	numbered(beginSnapshot, "listener 1:%d = queue=6 limit=5 drops=9 process=p pids="+pids+
		"\nprocess %d = name=p soft=9 hard=9 files=9\n", endSnapshot)(s)
}

// oneProcess has all listeners and all destinations.
func oneProcess(s *sized) {
	numbered(beginSnapshot+
		"process 7 = name=p soft=9 hard=9 files=9 cgroup=/a/b ESTABLISHED=999\n",
		"listener 0.0.0.0:%d = queue=6 limit=5 pid=7 cgroup=/a/b\n"+
			"outbound 10.0.0.%d->1:1 = ESTABLISHED=30000 ranged=30000 pid=7 "+
			"CLOSE_WAIT=9 SYN_SENT=9 TIME_WAIT=9\n", endSnapshot)(s)
}
