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
		all = append(all, job{
			table:   "rr",
			name:    fmt.Sprintf("%d callers", n),
			role:    "echo",
			conns:   1,
			writers: n,
			size:    64,
			sample:  1,
			drive:   ask,
		})
	}
	for _, size := range []int{64, 1024} {
		for _, n := range []int{1, 8, 64, 1024} {
			all = append(all, job{
				table:   "sat",
				name:    fmt.Sprintf("%d B x %d", size, n),
				role:    "sink",
				conns:   1,
				writers: n,
				size:    size,
				sample:  64,
				drive:   pour,
			})
		}
	}
	for _, n := range []int{8, 64} {
		all = append(all, job{
			table:   "paced",
			name:    fmt.Sprintf("%d x 1/ms", n),
			role:    "sink",
			conns:   1,
			writers: n,
			size:    64,
			sample:  1,
			drive:   pace,
		})
	}
	all = append(all,
		job{
			table:   "bursts",
			name:    "1000 conns x 3 x 4",
			role:    "sink",
			conns:   1000,
			writers: 3,
			size:    64,
			sample:  1,
			drive:   burst,
		},
		job{
			table:   "bursts",
			name:    "1000 conns x 3 x 4, woken together",
			role:    "sink",
			conns:   1000,
			writers: 3,
			size:    64,
			sample:  1,
			drive:   together,
		},
		job{
			table:   "hogs",
			name:    "8 x 1/ms, 4 busy",
			role:    "sink",
			conns:   1,
			writers: 8,
			size:    64,
			hogs:    4,
			sample:  1,
			drive:   pace,
		})
	for _, d := range [][2]int{{1, 1}, {1, 4}, {1, 16}, {64, 1}, {64, 16}} {
		all = append(all, job{
			table:   "pipe",
			name:    fmt.Sprintf("%d clients, depth %d", d[0], d[1]),
			role:    "client",
			conns:   d[0],
			writers: 1,
			depth:   d[1],
			size:    64,
			sample:  1,
			drive:   serve,
		})
	}
	for _, n := range []int{1, 64} {
		all = append(all, job{
			table:   "tls",
			name:    fmt.Sprintf("64 B x %d", n),
			role:    "tls",
			conns:   1,
			writers: n,
			size:    64,
			sample:  64,
			drive:   pour,
		})
	}
	return all
}

// compared are the variants of each table, the reference first.
var compared = map[string][]string{
	"rr": {"naive", "bufio", "timer", "group", "flusher", "coalesce", "busypoll", "noread",
		"handover", "lockstep"},
	"sat":    {"naive", "bufio", "timer", "group", "flusher", "coalesce", "block"},
	"paced":  {"naive", "timer", "group", "flusher", "coalesce", "late"},
	"bursts": {"naive", "timer", "group", "flusher", "coalesce"},
	"hogs":   {"naive", "timer", "group", "flusher", "coalesce"},
	"tls":    {"tls", "tls-above", "tls-16k", "tls-below", "tls-both"},
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
	a := company(t)
	for _, j := range jobs() {
		if chosen(*tables, j.table, ",") && chosen(*cases, j.name, ";") {
			printTable(t, j, a)
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

func printTable(t *testing.T, j job, a *awake) {
	order := slices.DeleteFunc(slices.Clone(compared[j.table]), func(v string) bool {
		return !chosen(*only, v, ",")
	})
	var good, bad []round
	for len(good) < *rounds && len(good)+len(bad) < *rounds+*spare {
		if r := oneRound(t, j, order, a); r.disturbed {
			bad = append(bad, r)
		} else {
			good = append(good, r)
		}
	}
	mark := fmt.Sprintf(
		"medians of %d rounds, %d dropped because others used more than %.2f CPUs",
		len(good), len(bad), foreignLimit)
	if len(good) < min(3, *rounds) {
		mark = fmt.Sprintf(
			"* DISTURBED: medians of all %d rounds, in %d of which others used "+
				"more than %.2f CPUs", len(good)+len(bad), len(bad), foreignLimit)
		good = append(good, bad...)
	}
	fmt.Printf("\n%s, %s, %d B: %s\n", j.table, j.name, j.size, mark)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	limit := order[len(order)-1]
	fmt.Fprintln(w, strings.Join([]string{"variant", "messages/s",
		"x " + order[0], "from-to", "x " + limit, "from-to",
		"p50 x " + order[0], "p99 x " + order[0], "CPU x " + order[0], "from-to",
		"p50 us", "p99 us", "trip p50", "trip p99", "writes/msg", "CPU ns/msg", "peer CPU",
		"allocs/msg", "others", ""}, "\t"))
	for _, v := range order {
		fmt.Fprintln(w, row(v, order[0], limit, good))
	}
	w.Flush()
	record(t, j, order, good)
}

// round is one run of each variant, in shuffled order.
type round struct {
	of        map[string]figures
	disturbed bool
}

// oneRound repeats a run that others disturbed, twice at most.
func oneRound(t *testing.T, j job, variants []string, a *awake) round {
	t.Helper()
	order := slices.Clone(variants)
	rand.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
	r := round{of: map[string]figures{}}
	for _, v := range order {
		var f figures
		for range 3 {
			var err error
			if f, err = (&run{job: j, variant: v, awake: a}).measure(); err != nil {
				t.Fatalf("%s, %s, %s: %v", j.table, j.name, v, err)
			}
			if f.foreign < foreignLimit {
				break
			}
		}
		r.of[v] = f
		r.disturbed = r.disturbed || f.foreign >= foreignLimit
	}
	return r
}

// row is one line of a table. All ratios are taken within a round.
func row(v, base, limit string, rounds []round) string {
	cells := []string{v}
	add := func(format string, of func(figures) float64) {
		m := median(rounds, func(r round) float64 { return of(r.of[v]) })
		cells = append(cells, fmt.Sprintf(format, m))
	}
	ratio := func(to string, of func(figures) float64, spread bool) {
		part := func(r round) float64 { return of(r.of[v]) / of(r.of[to]) }
		cells = append(cells, fmt.Sprintf("%.2f", median(rounds, part)))
		if low, high := extremes(rounds, part); spread {
			cells = append(cells, fmt.Sprintf("%.2f-%.2f", low, high))
		}
	}
	rate, cpu := func(f figures) float64 {
		return f.rate
	}, func(f figures) float64 { return f.cpu }
	p50, p99 := func(f figures) float64 {
		return f.p50
	}, func(f figures) float64 { return f.p99 }
	add("%.0f", rate)
	ratio(base, rate, true)
	ratio(limit, rate, true)
	ratio(base, p50, false)
	ratio(base, p99, false)
	ratio(base, cpu, true)
	add("%.0f", p50)
	add("%.0f", p99)
	add("%.0f", func(f figures) float64 { return f.trip50 })
	add("%.0f", func(f figures) float64 { return f.trip99 })
	add("%.4f", func(f figures) float64 { return f.writes })
	add("%.0f", cpu)
	add("%.0f", func(f figures) float64 { return f.childCPU })
	add("%.4f", func(f figures) float64 { return f.allocs })
	add("%.2f", func(f figures) float64 { return f.foreign })
	return strings.Join(append(cells, ""), "\t")
}

// record writes each run as a line that benchstat reads.
func record(t *testing.T, j job, variants []string, rounds []round) {
	t.Helper()
	if *benchfmt == "" {
		return
	}
	out, err := os.OpenFile(*benchfmt, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	name := strings.NewReplacer(" ", "_", "/", "_per_", ",", "").Replace(j.name)
	for _, r := range rounds {
		for _, v := range variants {
			f := r.of[v]
			fmt.Fprintf(out,
				"Benchmark/table=%s/case=%s/variant=%s 1 %.0f msg/s %.1f "+
					"p50-us %.1f p99-us %.5f writes/msg %.1f cpu-ns/msg\n",
				j.table, name, v, f.rate, f.p50, f.p99, f.writes, f.cpu)
		}
	}
}

func median[T any, N cmp.Ordered](list []T, of func(T) N) N {
	values := sorted(list, of)
	return values[len(values)/2]
}

func extremes[T any, N cmp.Ordered](list []T, of func(T) N) (low, high N) {
	values := sorted(list, of)
	return values[0], values[len(values)-1]
}

func sorted[T any, N cmp.Ordered](list []T, of func(T) N) (values []N) {
	for _, v := range list {
		values = append(values, of(v))
	}
	slices.Sort(values)
	return values
}
