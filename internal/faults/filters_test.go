//go:build linux

package faults

import (
	"fmt"
	"os"
	"strconv"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/tune"
)

// Programs that refuse connections.
var filterFaults = []fault{
	{
		// connect() gives EPERM, no counter moves and nothing is in a log.
		name:   "an eBPF program of the cgroup refuses connect",
		report: "https://github.com/cilium/cilium/issues/45184",
		make: func(w world) scene {
			l := w.listen(8080, 128)
			w.connect(l, lab.ConnectSpec{To: at(8080), N: 3})
			w.denied(w.client)
			w.refused(lab.ConnectSpec{To: at(8080)}, "EPERM")
			return scene{works: w.connects(lab.ConnectSpec{To: at(8080)})}
		},
		want: want{limit: "connect-filters", severity: "critical",
			subject: "maxconn-faults", process: "client",
			cause: `deny_connect \(number \d+\) refuses every connect\(\) over IPv4`,
			remedies: []string{
				`live bpftool cgroup detach \S+/maxconn-faults-\d+ connect4 id \d+`,
				`application.*who attached it`}},
	},
}

// denied puts an actor into a cgroup of its own where a program refuses connect().
func (w world) denied(a *lab.Actor) {
	w.Helper()
	if os.Geteuid() != 0 {
		w.Skip("only root attaches a program to a cgroup")
	}
	group := w.unified(a)
	if _, err := tune.RefuseConnects(group.dir); err != nil { // it goes with the cgroup
		w.Skipf("no program can be attached: %v", err)
	}
}

// detach takes a program off a cgroup, as the remedy that names it says.
func detach(m limit.Remedy) error {
	var dir, hook, number string
	if _, err := fmt.Sscanf(m.Setting, "bpftool cgroup detach %s %s id %s", &dir, &hook,
		&number); err != nil {
		return err
	}
	id, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return err
	}
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return err
	}
	defer p.Close()
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	attach, known := map[string]ebpf.AttachType{"connect4": ebpf.AttachCGroupInet4Connect}[hook]
	if !known {
		return fmt.Errorf("this test knows no hook %s", hook)
	}
	return link.RawDetachProgram(link.RawDetachProgramOptions{Target: int(f.Fd()), Program: p,
		Attach: attach})
}
