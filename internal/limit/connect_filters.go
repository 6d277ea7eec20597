package limit

import (
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const ConnectFilters ID = "connect-filters"

var _ = register(Limit{
	ID:      ConnectFilters,
	Title:   "programs and security modules that may refuse connect(), bind() or socket()",
	Measure: Held,
	Scope:   Process,
	Doc: "An eBPF program that is attached to a cgroup decides on each connect(), bind() or " +
		"socket() of the processes in it and below, and may refuse it with EPERM; one at " +
		"`egress` or `ingress` drops packets instead, and connect() ends with ETIMEDOUT. " +
		"Cilium and Calico translate addresses of services there, systemd keeps " +
		"`SocketBindDeny=` and `IPAddressDeny=` by such programs. Security modules " +
		"(SELinux, AppArmor, Landlock, BPF programs of their own) refuse with EACCES, " +
		"some with EPERM. Neither counts what it refuses: how often a program ran says " +
		"nothing of what it returned. That a program refuses is certain only where its " +
		"instructions return nothing else; of all others what outbound connections can " +
		"hold is at most what the rest of the kernel gives: \"<=\". To ask takes " +
		"CAP_NET_ADMIN, and CAP_SYS_ADMIN for the program's name and instructions.",
	Formula: "no ceiling in connections: each call is let through or refused; 0 where a " +
		"program returns nothing but a refusal",
	Myths: []Myth{
		{"EPERM from connect() comes from the firewall",
			"a SYN that netfilter drops gets no answer, and connect() ends with " +
				"ETIMEDOUT; EPERM is what a program of the cgroup, a security " +
				"module or seccomp returns",
			"net/ipv4/af_inet.c inet_stream_connect (BPF_CGROUP_RUN_PROG_INET4_" +
				"CONNECT_LOCK); kernel/bpf/cgroup.c bpf_prog_run_array_cg"},
		{"root is not refused",
			"programs of a cgroup ask for no capability and no user: they apply to " +
				"every process in it and below",
			"kernel/bpf/cgroup.c __cgroup_bpf_run_filter_sock_addr"},
		{"run_cnt of bpftool counts what a program refused",
			"it counts how often it ran, and only with kernel.bpf_stats_enabled=1; " +
				"what it returned is counted nowhere",
			"include/linux/filter.h __bpf_prog_run"},
	},
	Knobs: []string{"net.ipv4.ip_unprivileged_port_start"},
	Signs: []Sign{
		{
			Text: "BPF_CGROUP_EGRESS",
			Means: "drop reason of the tracepoint skb:kfree_skb: a program at egress " +
				"of the cgroup dropped a packet; connect() of its process goes " +
				"on until it times out",
			Look: "maxconn check --limit connect-filters; bpftool cgroup tree; " +
				"systemctl show UNIT -p IPAddressDeny",
		}, {
			Text: "avc denied … name_connect",
			Means: "SELinux refused connect() to this port, with EACCES; of bind() " +
				"it says name_bind",
			Look: "maxconn check --limit connect-filters; ausearch -m avc; the " +
				"boolean or port type that lets it through",
		}, {
			Text: "apparmor DENIED operation connect",
			Means: "the AppArmor profile of the process refused connect(), with " +
				"EACCES",
			Look: "maxconn check --limit connect-filters; aa-status; the profile's " +
				"network rules",
		},
	},
	Sources: []string{
		"kernel/bpf/cgroup.c __cgroup_bpf_run_filter_sock_addr, " +
			"__cgroup_bpf_run_filter_sk, __cgroup_bpf_run_filter_skb (4.17-6.18)",
		"net/ipv4/af_inet.c inet_create, __inet_bind, inet_dgram_connect; " +
			"net/ipv4/tcp_ipv4.c tcp_v4_pre_connect (4.17-6.18)",
		"net/socket.c security_socket_connect, security_socket_bind (4.4-6.18)",
	},
	Needs: []host.Fact{host.All(host.FilterKind), host.All(host.ProcessKind),
		host.All(host.CgroupKind), host.System("lsm")},
	Details: []host.Fact{host.System("lsm"), host.All(host.CgroupKind)},
	Bounds:  Flows{Direction: Outbound},
	Gauges:  filterGauges,
})

// filterProgram is an eBPF program of a cgroup and the processes that it decides on.
type filterProgram struct {
	id, name, at string
	hooks        []string
	refuses      string // as kinds.go lists
	pids         []host.Row
	root         string // where its hierarchy is mounted
}

func filterGauges(r *host.Reader, _ Workload) (gauges []Gauge) {
	programs := filterPrograms(r)
	undecided := map[string]bool{} // processes
	var open []*filterProgram
	for _, p := range programs {
		switch {
		case p.refuses == "none":
			continue
		case p.refuses == "all" && len(p.pids) > 0:
			gauges = append(gauges, p.gauge())
		case len(p.pids) > 0 || p.ofModule():
			open = append(open, p)
		}
		for _, row := range p.pids {
			undecided[row.Name()] = true
		}
	}
	for _, row := range r.Rows(host.ProcessKind) {
		if undecided[row.Name()] {
			gauges = append(gauges, mayRefuse(row, Held), mayRefuse(row, PerSecond))
		}
	}
	if why := r.Partial(host.FilterKind); why != "" {
		g := blind(Subject{}, Outbound, host.Missing{Fact: host.All(host.FilterKind),
			Why: why})
		g.Why = "what programs of cgroups decide could not be seen"
		gauges = append(gauges, g, g.of(PerSecond))
	}
	return append(gauges, undecidedGauge(r, open))
}

// filterPrograms are by their numbers.
func filterPrograms(r *host.Reader) (all []*filterProgram) {
	byID, root := map[string]*filterProgram{}, unifiedRoot(r)
	for _, row := range r.Rows(host.FilterKind) {
		p := &filterProgram{id: row.Name(), name: row.Text("program"), at: row.Text("at"),
			root: root, hooks: strings.Split(row.Text("hook"), ","),
			refuses: row.Text("refuses")}
		byID[p.id] = p
		all = append(all, p)
	}
	for _, row := range r.Rows(host.ProcessKind) {
		for id := range strings.SplitSeq(row.Text("filters"), ",") {
			if p := byID[id]; p != nil {
				p.pids = append(p.pids, row)
			}
		}
	}
	return all
}

// mayRefuse is what a program that may refuse leaves of a process's figures: a bound.
func mayRefuse(row host.Row, m Measure) Gauge {
	pid, _ := host.Row{Fields: host.Fields{{Name: "pid", Value: row.Name()}}}.Int("pid")
	name := row.Text("name")
	return Gauge{Subject: Subject{Kind: Process, Name: who(name, pid), Process: name, PID: pid},
		Measure: m, Bounds: Outbound, Unbounded: true, AtMost: true,
		Why: "a program of its cgroup may refuse"}
}

// gauge is of a program that refuses whatever comes.
func (p *filterProgram) gauge() Gauge {
	return Gauge{
		Subject:  p.subject(),
		Unit:     "calls",
		Refusing: true,
		Cause: p.title() + " " + p.refusal() + " " + plural(int64(len(p.pids)),
			"process") + ": it returns nothing else",
		Owner: "who attached " + p.title(),
		Steps: []Step{{Label: "calls that the program lets through", Value: 0,
			Unit: "calls", How: Read, From: "filter " + p.id + " refuses"}},
		Evidence: []Evidence{p.where(), {"filter " + p.id + " refuses", "all",
			"its instructions return nothing but a refusal"}},
		Remedies: p.remedies(),
	}
}

// subject is the cgroup, and its process where there is one.
func (p *filterProgram) subject() Subject {
	s := Subject{Kind: Cgroup, Name: p.cgroup(), Cgroup: p.at}
	if len(p.pids) == 1 {
		s.Process = p.pids[0].Text("name")
		s.PID, _ = host.Row{Fields: host.Fields{{Name: "pid",
			Value: p.pids[0].Name()}}}.Int("pid")
	}
	return s
}

// cgroup is where the program is attached. "/" may be the host's root as well as a container's.
func (p *filterProgram) cgroup() string {
	switch {
	case p.ofModule():
		return "a hook of the security modules"
	case p.at == "":
		return "a cgroup above what can be seen"
	}
	return "cgroup " + p.at
}

// ofModule says whether it is a program of the BPF security module, which is the host's.
func (p *filterProgram) ofModule() bool { return slices.Contains(p.hooks, "lsm") }

// title is "the program deny_connect (number 97)".
func (p *filterProgram) title() string {
	if p.name == "" {
		return "program number " + p.id
	}
	return "the program " + p.name + " (number " + p.id + ")"
}

// refusal is what it does where it refuses.
func (p *filterProgram) refusal() string {
	family := map[byte]string{'4': " over IPv4", '6': " over IPv6"}
	hook := p.hooks[0]
	over := ""
	if hook != "" {
		over = family[hook[len(hook)-1]]
	}
	switch {
	case strings.HasPrefix(hook, "connect"):
		return "refuses every connect()" + over + " with EPERM, of"
	case strings.Contains(hook, "bind"):
		return "refuses every bind()" + over + " with EPERM, of"
	case hook == "sock_create":
		return "refuses every socket() with EPERM, of"
	}
	return "drops every packet (" + strings.Join(p.hooks, " and ") + "), of"
}

// where is what the program is, and of whom.
func (p *filterProgram) where() Evidence {
	whose := "on all processes"
	if !p.ofModule() {
		whose = "there and below, on " + plural(int64(len(p.pids)), "process") + " (" +
			p.first() + ")"
	}
	return Evidence{"filter " + p.id + " hook", strings.Join(p.hooks, ", "), p.title() +
		" is attached to " + p.cgroup() + " and decides " + whose}
}

// first names some of the processes.
func (p *filterProgram) first() string {
	const some = 3
	var names []string
	for _, row := range p.pids[:min(len(p.pids), some)] {
		names = append(names, row.Text("name")+" (pid "+row.Name()+")")
	}
	return strings.Join(names, ", ")
}

// remedies are for the one who attached it: maxconn detaches nothing.
func (p *filterProgram) remedies() (out []Remedy) {
	if p.at != "" {
		for _, hook := range p.hooks {
			out = append(out, Remedy{Kind: Live, TakesEffect: Now,
				Setting: "bpftool cgroup detach " +
					encode.CommandWord(p.root+p.at) + " " + hook + " id " +
					p.id,
				Text: "take the program off; a program that a link holds goes " +
					"with its owner, or with bpftool link detach"})
		}
	}
	return append(out, Remedy{Kind: ByApplication, Text: p.keeper(), TakesEffect: Now})
}

// keeper is who it may be that attached the program, by its name.
func (p *filterProgram) keeper() string {
	has := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(x string) bool {
			return strings.HasPrefix(p.name, x)
		})
	}
	switch {
	case has("cil_", "sock4_", "sock6_"):
		return "Cilium translates addresses of services in this program, and refuses a " +
			"service without a backend: kubectl get endpointslices; " +
			"cilium-dbg service list"
	case has("calico_", "cali_"):
		return "Calico translates addresses of services in this program, and refuses a " +
			"service without a backend: kubectl get endpointslices"
	case has("sd_"):
		return "systemd attached it for a unit: systemctl show UNIT -p SocketBindDeny " +
			"-p IPAddressDeny -p RestrictNetworkInterfaces"
	}
	return "ask who attached it (bpftool prog show id " + p.id + " names the uid and when, " +
		"bpftool link the owner): a container runtime, a service mesh, an agent; it " +
		"will come back while that one runs"
}

// unifiedRoot is where the hierarchy of version 2 usually is: beside those of version 1, where
// there are such.
func unifiedRoot(r *host.Reader) string {
	for _, row := range r.Rows(host.CgroupKind) {
		if row.Text("version") == "1" {
			return "/sys/fs/cgroup/unified"
		}
	}
	return "/sys/fs/cgroup"
}

// undecidedGauge is the one line of all programs that may refuse, and of security modules.
func undecidedGauge(r *host.Reader, open []*filterProgram) Gauge {
	g := Gauge{Subject: thisNetns, Unbounded: true,
		Owner: "who attached the programs, and the security policy"}
	confined := int64(0)
	for _, row := range r.Rows(host.ProcessKind) {
		if row.Text("confined") != "" {
			confined++
		}
	}
	modules := r.Optional(host.System("lsm"))
	if modules != "" {
		g.Evidence = append(g.Evidence, Evidence{"system lsm", modules,
			"the active security modules; processes that one confines: " +
				figure.Count(confined)})
	}
	g.Steps = []Step{
		{Label: "programs of cgroups that may refuse", Value: int64(len(open)), How: Read,
			From: "filter"},
		{Label: "processes that a security module confines", Value: confined, How: Read,
			From: "process"},
	}
	if len(open) == 0 {
		return g
	}
	const some = 4
	pids := map[string]bool{}
	var titles []string
	for i, p := range open {
		for _, row := range p.pids {
			pids[row.Name()] = true
		}
		if i < some {
			titles = append(titles, p.short())
			g.Evidence = append(g.Evidence, p.where())
		}
	}
	if more := len(open) - some; more > 0 {
		titles = append(titles, itoa(int64(more))+" more")
	}
	g.Notice = true
	g.Cause = "programs decide whether connect(), bind() and socket() of " + decidedOn(pids) +
		" go through: " + strings.Join(titles, ", ") + "; nothing counts what they refuse"
	g.Remedies = []Remedy{{Kind: ByApplication, TakesEffect: Now,
		Text: "only where a program reports EPERM or EACCES: " + open[0].keeper()}}
	return g
}

// decidedOn is whose calls programs decide on: those of the BPF security module on all.
func decidedOn(pids map[string]bool) string {
	if len(pids) == 0 {
		return "all processes"
	}
	return plural(int64(len(pids)), "process")
}

// short is "cil_sock4_connect at /".
func (p *filterProgram) short() string {
	name, at := p.name, p.at
	if name == "" {
		name = "number " + p.id
	}
	switch {
	case p.ofModule():
		return name + " (security module)"
	case at == "":
		at = "a cgroup above"
	}
	return name + " (" + strings.Join(p.hooks, ", ") + ") at " + at
}
