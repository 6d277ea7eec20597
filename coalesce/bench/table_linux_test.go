package bench

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// jobs are all cases, by table.
func jobs() (all []job) {
	for _, n := range []int{1, 8, 64, 1024} {
		all = append(all, job{table: "rr", name: fmt.Sprintf("%d callers", n), role: "echo", conns: 1, writers: n, size: 64, sample: 1, drive: ask})
	}
	for _, size := range []int{64, 1024} {
		for _, n := range []int{1, 8, 64, 1024} {
			all = append(all, job{table: "sat", name: fmt.Sprintf("%d B x %d", size, n), role: "sink", conns: 1, writers: n, size: size, sample: 64, drive: pour})
		}
	}
	for _, n := range []int{8, 64} {
		all = append(all, job{table: "paced", name: fmt.Sprintf("%d x 1/ms", n), role: "sink", conns: 1, writers: n, size: 64, sample: 1, drive: pace})
	}
	all = append(all,
		job{table: "bursts", name: "1000 conns x 3 x 4", role: "sink", conns: 1000, writers: 3, size: 64, sample: 1, drive: burst},
		job{table: "hogs", name: "8 x 1/ms, 4 busy", role: "sink", conns: 1, writers: 8, size: 64, hogs: 4, sample: 1, drive: pace})
	for _, d := range [][2]int{{1, 1}, {1, 4}, {1, 16}, {64, 1}, {64, 16}} {
		all = append(all, job{table: "pipe", name: fmt.Sprintf("%d clients, depth %d", d[0], d[1]), role: "client", conns: d[0], writers: 1, depth: d[1], size: 64, sample: 1, drive: serve})
	}
	return all
}

// compared are the variants of each table, the reference first.
var compared = map[string][]string{
	"rr":     {"naive", "bufio", "timer", "group", "flusher", "coalesce", "noread"},
	"sat":    {"naive", "bufio", "timer", "group", "flusher", "coalesce", "block"},
	"paced":  {"naive", "timer", "group", "flusher", "coalesce"},
	"bursts": {"naive", "timer", "group", "flusher", "coalesce"},
	"hogs":   {"naive", "timer", "group", "flusher", "coalesce"},
	"pipe":   {"naive", "flusher", "hand", "coalesce", "readdriven"},
}

func chosen(list, name, sep string) bool {
	return list == "" || list == "all" || slices.Contains(strings.Split(list, sep), name)
}

// TestTables prints medians and ratios against the plain Write of the same
// round. Without -tables it is a quick check that no variant loses a message.
func TestTables(t *testing.T) {
	if *tables == "" {
		quick(t)
		return
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			t.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	for _, j := range jobs() {
		if chosen(*tables, j.table, ",") && chosen(*cases, j.name, ";") {
			printTable(t, j)
		}
	}
}

func quick(t *testing.T) {
	*warm, *span = 5e6, 20e6
	for _, j := range jobs() {
		if testing.Short() && j.writers > 64 {
			continue
		}
		for _, v := range compared[j.table] {
			r := &run{job: j, variant: v}
			if _, err := r.measure(); err != nil {
				t.Errorf("%s, %s, %s: %v", j.table, j.name, v, err)
			}
		}
	}
}

// foreignLimit is how many CPUs others may use during a run that counts.
const foreignLimit = 0.35

func printTable(t *testing.T, j job) {
	results := map[string][]figures{}
	disturbed := 0
	for range *rounds {
		order := slices.Clone(compared[j.table])
		order = slices.DeleteFunc(order, func(v string) bool { return !chosen(*only, v, ",") })
		rand.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
		for _, v := range order {
			f, quiet := quietRun(t, j, v)
			results[v] = append(results[v], f)
			if !quiet {
				disturbed++
			}
		}
	}
	fmt.Printf("\n%s, %s, %d B: medians of %d runs (%d disturbed by others)\n", j.table, j.name, j.size, *rounds, disturbed)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "variant\tmessages/s\tx naive\tp50 us\tp99 us\twrites/msg\tCPU ns/msg\tpeer CPU\tallocs/msg\tothers\t")
	for _, v := range compared[j.table] {
		if fs := results[v]; len(fs) > 0 {
			fmt.Fprintln(w, row(v, fs, results["naive"]))
		}
	}
	w.Flush()
}

func quietRun(t *testing.T, j job, v string) (f figures, quiet bool) {
	t.Helper()
	for range 2 {
		r := &run{job: j, variant: v}
		var err error
		if f, err = r.measure(); err != nil {
			t.Fatalf("%s, %s, %s: %v", j.table, j.name, v, err)
		}
		if f.foreign < foreignLimit {
			return f, true
		}
	}
	return f, false
}

func row(v string, fs, base []figures) string {
	ratio := "-"
	if len(base) == len(fs) {
		ratio = fmt.Sprintf("%.2f", median(indexes(len(fs)), func(i int) float64 { return fs[i].rate / base[i].rate }))
	}
	m := func(of func(figures) float64) float64 { return median(fs, of) }
	return fmt.Sprintf("%s\t%.0f\t%s\t%.0f\t%.0f\t%.4f\t%.0f\t%.0f\t%.4f\t%.2f\t", v,
		m(func(f figures) float64 { return f.rate }), ratio,
		m(func(f figures) float64 { return f.p50 }), m(func(f figures) float64 { return f.p99 }),
		m(func(f figures) float64 { return f.writes }), m(func(f figures) float64 { return f.cpu }),
		m(func(f figures) float64 { return f.childCPU }), m(func(f figures) float64 { return f.allocs }), m(func(f figures) float64 { return f.foreign }))
}

func indexes(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

func median[T any, N cmp.Ordered](list []T, of func(T) N) N {
	var values []N
	for _, v := range list {
		values = append(values, of(v))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
