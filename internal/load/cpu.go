//go:build linux

package load

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/load/result"
)

// busy is the time of all CPUs since boot, in ticks.
type busy struct{ idle, all int64 }

// readBusy reads the first line of /proc/stat: user nice system idle iowait irq softirq steal, and
// guest times, which are in the first two already (fs/proc/stat.c show_stat). The zero busy where
// it cannot be read.
func readBusy() (b busy) {
	text, err := procfs.Root("").Read("stat")
	if err != nil {
		return b
	}
	first, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(first) {
		n, err := strconv.ParseInt(field, 10, 64)
		if i == 0 || i > 8 || err != nil {
			continue
		}
		b.all += n
		if i == 4 || i == 5 {
			b.idle += n
		}
	}
	return b
}

// since is the share of the time that the CPUs were busy.
func (b busy) since(before busy) (share float64, ok bool) {
	all := b.all - before.all
	return 1 - float64(b.idle-before.idle)/float64(max(all, 1)), before.all > 0 && all > 0
}

// mostlyBusy is the share of the time from which nothing is left: the kernel counts in ticks.
const mostlyBusy = 0.9

// boundByProcessors says that nothing was refused and the rate was not reached all the same,
// because the CPUs, or the threads of the client, had nothing left to do it with.
func (a *account) boundByProcessors(r *result.Report) {
	share, ok := readBusy().since(a.idle)
	if !slow(r) || r.Total <= 0 {
		return
	}
	cpus, own := float64(runtime.NumCPU()), (fastsock.CPUTime()-a.cpu).Seconds()/r.Total
	threads := float64(a.spec.Threads)
	why := ""
	switch {
	case ok && share >= mostlyBusy:
		why = fmt.Sprintf("the %.0f CPUs were busy for %.0f %% of the time, %.0f %% of "+
			"it with this process", cpus, 100*share, 100*min(own/cpus/share, 1))
	case own >= mostlyBusy*threads:
		why = fmt.Sprintf("the threads of this process (--threads %.0f) worked all the "+
			"time", threads)
	default:
		return
	}
	r.BoundBy, r.Because = result.ByProcessors, "nothing refused a connection; "+why
}
