package limit

import (
	"strings"

	"github.com/maxconn/maxconn/internal/host"
)

// charge is the kernel memory that one idle connection takes from its cgroup.
type charge struct {
	bytes int64 // what it is taken to be
	least int64 // what it is at the least; 0: nothing is charged
	steps []Step
}

// chargeOf is the charge in a cgroup of that version, which accepts connections or not.
//
// An accepted socket is made while a packet is received, for nobody's account. accept() charges it
// later (9028cdeb38e1, Linux 6.12), where the cgroup counts sockets at all (mm/memcontrol.c
// mem_cgroup_sk_alloc): in version 2, unless booted with cgroup.memory=nosocket. Its inode, dentry
// and struct file are made by accept() and charged; struct file since 4.18. Measured on 6.18,
// version 1: 1,249 bytes for each accepted connection, 3,743 for each that was opened.
func chargeOf(r *host.Reader, version string, accepts bool) charge {
	kernel, options := r.Kernel(), r.Optional(host.System("cgroup-options"))
	if strings.Contains(options, "nokmem") {
		return charge{}
	}
	e := endpointSize(r)
	file, watch := e.steps[1], e.steps[2]
	c := charge{bytes: e.bytes, least: file.Value, steps: e.steps}
	if !kernel.Known() || kernel.Before(4, 18) {
		filp := objectsStep(r, "", object{"filp", 192})
		c.least -= filp.Value
	}
	counts := version == "2" && kernel.Since(6, 12) && !strings.Contains(options, "nosocket")
	switch {
	case counts:
		c.least += e.steps[0].Value
	case accepts:
		c.bytes = file.Value + watch.Value
		c.steps = []Step{file, watch, {
			Label: "kernel memory of an accepted connection that the cgroup is " +
				"charged: not the socket itself",
			Sum:   itoa(file.Value) + " + " + itoa(watch.Value),
			Value: c.bytes,
			Unit:  "bytes",
			How:   Computed,
		}}
	}
	return c
}

// fits is how many further connections fit into that many bytes, in two digits.
func (c charge) fits(bytes int64) int64 { return roughly(max(bytes, 0) / max(c.bytes, 1)) }

// mayFit is how many may fit at most.
func (c charge) mayFit(bytes int64) int64 { return roughlyUp(max(bytes, 0) / max(c.least, 1)) }

// accepting are the ids of the processes that have listeners open, as texts.
func accepting(r *host.Reader) map[string]bool {
	ids := map[string]bool{}
	for _, row := range r.Rows(host.ListenerKind) {
		for pid := range strings.SplitSeq(row.Text("pids")+","+row.Text("pid"), ",") {
			ids[pid] = true
		}
	}
	return ids
}
