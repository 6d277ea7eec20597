package limit

import (
	"slices"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

// lift raises the number that binds until that many threads fit.
func (l taskLimit) lift(need int64) []Remedy {
	m := raiseTasks(l, (min(need, noCeiling/4)+1)/2) // which doubles
	if slices.Contains([]string{"kernel.threads-max", "kernel.pid_max", "vm.max_map_count"},
		l.name) {
		m.Change = host.Setting{Fact: host.Sysctl(l.name), Want: m.To}
		m.Sum = figure.Count(need) + " threads, up to the next power of two"
		if l.name == "vm.max_map_count" {
			m.Sum = figure.Count(need) + " threads of two mappings each"
		}
		m.Cost = "none by itself; each thread takes about 20 KB of kernel memory"
		m.Risk = "one value for the host: a program that makes threads without end " +
			"takes more before it is stopped"
		m.Lasts = untilBoot
	}
	return []Remedy{m, fewerThreads()}
}
