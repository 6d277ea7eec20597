package procfs_test

import (
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// fuzzPairs holds the two streaming parsers to their promise: names that are
// names, values that are numbers, refusals of one line.
func fuzzPairs(f *testing.F, archive string, parse func([]byte,
	func(proto, name, value string)) error) {
	seeds(f, archive)
	f.Fuzz(func(t *testing.T, b []byte) {
		err := parse(b, func(proto, name, value string) {
			for _, word := range []string{proto, name} {
				if word == "" || strings.ContainsFunc(word, func(c rune) bool {
					return c > unicode.MaxASCII || !unicode.IsPrint(c)
				}) {
					t.Fatalf("delivered the name %q", word)
				}
			}
			_, errSigned := strconv.ParseInt(value, 10, 64)
			_, errUnsigned := strconv.ParseUint(value, 10, 64)
			if errSigned != nil && errUnsigned != nil {
				t.Fatalf("delivered the value %q", value)
			}
		})
		checkRefusal(t, err)
	})
}

// fuzz calls a parser and, where it accepts the file, check.
func fuzz[T any](f *testing.F, archive string, parse func([]byte) (T, error),
	check func(*testing.T, T)) {
	seeds(f, archive)
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parse(b)
		if err == nil && check != nil {
			check(t, v)
		}
		checkRefusal(t, err)
	})
}

func FuzzCounters(f *testing.F) { fuzzPairs(f, "counters", procfs.ParseCounters) }
func FuzzSockstat(f *testing.F) { fuzzPairs(f, "sockstat", procfs.ParseSockstat) }

func FuzzSoftnet(f *testing.F) {
	fuzz(f, "softnet", procfs.ParseSoftnet, func(t *testing.T, rows []procfs.SoftnetRow) {
		for _, row := range rows {
			if len(row) < 9 || len(row) != len(rows[0]) {
				t.Fatalf("row of %d columns", len(row))
			}
		}
	})
}

func FuzzTable(f *testing.F) {
	fuzz(f, "table", procfs.ParseTable, func(t *testing.T, table *procfs.Table) {
		for _, column := range table.Columns {
			if _, ok := table.Total(column); !ok {
				t.Fatalf("column %q has no total", column)
			}
		}
	})
}

func FuzzSlabinfo(f *testing.F) {
	fuzz(f, "slabinfo", procfs.ParseSlabinfo, func(t *testing.T, slabs procfs.Slabs) {
		for _, slab := range slabs {
			if _, ok := slabs.Cache(slab.Name); !ok || slab.Name == "" {
				t.Fatalf("no cache %q", slab.Name)
			}
		}
	})
}

func FuzzLimits(f *testing.F) {
	fuzz(f, "process", procfs.ParseLimits, func(t *testing.T, limits procfs.ResourceLimits) {
		for _, l := range limits {
			if l.Soft.Unlimited && l.Soft.N != 0 {
				t.Fatalf("%+v is unlimited and a number", l)
			}
		}
	})
}

func FuzzStatus(f *testing.F) {
	fuzz(f, "process", procfs.ParseStatus, func(t *testing.T, s procfs.Status) {
		if s.State == 0 || s.PID < 0 || s.Threads < 0 {
			t.Fatalf("accepted %+v", s)
		}
	})
}

func FuzzProcessStat(f *testing.F) {
	fuzz(f, "process", procfs.ParseProcessStat, func(t *testing.T, s procfs.ProcessStat) {
		if s.State == 0 || s.PID < 0 || s.Threads < 0 {
			t.Fatalf("accepted %+v", s)
		}
	})
}

func FuzzSysctl(f *testing.F) {
	f.Add([]byte("8080,9148-9150\n"))
	f.Add([]byte("4096\t131072\t33554432\n"))
	fuzz(f, "process", procfs.ParseSysctl, func(t *testing.T, text string) {
		if strings.ContainsAny(text, "\t\n\x00") || strings.Contains(text, "  ") ||
			strings.TrimSpace(text) != text {
			t.Fatalf("not normal: %q", text)
		}
		again, err := procfs.ParseSysctl([]byte(text + "\n"))
		if again != text || err != nil {
			t.Fatalf("%q becomes %q, %v", text, again, err)
		}
	})
}

func FuzzMeminfo(f *testing.F)    { fuzz(f, "host", procfs.ParseMeminfo, nil) }
func FuzzSystemStat(f *testing.F) { fuzz(f, "host", procfs.ParseSystemStat, nil) }
func FuzzLoadavg(f *testing.F)    { fuzz(f, "host", procfs.ParseLoadavg, nil) }
func FuzzProtocols(f *testing.F)  { fuzz(f, "host", procfs.ParseProtocols, nil) }
func FuzzComm(f *testing.F)       { fuzz(f, "process", procfs.ParseComm, nil) }

func FuzzRouteStats(f *testing.F) {
	fuzz(f, "table", procfs.ParseRouteStats, func(t *testing.T, n uint64) {
		if n > 1<<32-1 {
			t.Fatalf("%d routes", n)
		}
	})
}
