package procfs_test

import (
	"testing"

	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// refuse adapts a parser to what the table below needs of it.
func refuse[T any](parse func([]byte) (T, error)) func([]byte) error {
	return func(b []byte) error {
		_, err := parse(b)
		return err
	}
}

func nothing(proto, name, value string) {}

// parsers are all that take a file.
func parsers() map[string]func([]byte) error {
	return map[string]func([]byte) error{
		"counters":  func(b []byte) error { return procfs.ParseCounters(b, nothing) },
		"sockstat":  func(b []byte) error { return procfs.ParseSockstat(b, nothing) },
		"softnet":   refuse(procfs.ParseSoftnet),
		"table":     refuse(procfs.ParseTable),
		"slabinfo":  refuse(procfs.ParseSlabinfo),
		"meminfo":   refuse(procfs.ParseMeminfo),
		"stat":      refuse(procfs.ParseSystemStat),
		"loadavg":   refuse(procfs.ParseLoadavg),
		"limits":    refuse(procfs.ParseLimits),
		"status":    refuse(procfs.ParseStatus),
		"pidstat":   refuse(procfs.ParseProcessStat),
		"comm":      refuse(procfs.ParseComm),
		"protocols": refuse(procfs.ParseProtocols),
		"sysctl":    refuse(procfs.ParseSysctl),
	}
}

// refusal is a file that a parser must not take, and what it says.
type refusal struct{ parser, file, want string }

func (r refusal) check(t *testing.T) {
	t.Helper()
	err := parsers()[r.parser]([]byte(r.file))
	if err == nil {
		t.Errorf("%s: accepted %q", r.parser, r.file)
		return
	}
	checkRefusal(t, err)
	if err.Error() != r.want {
		t.Errorf("%s: %q\n got %s\nwant %s", r.parser, r.file, err, r.want)
	}
}

// The refusals name the kind of file, the line and what was wrong.
func TestRefusals(t *testing.T) {
	const slabHead = "slabinfo - version: 2.1\n# name <active_objs> <num_objs> <objsize> " +
		"<objperslab> <pagesperslab> : tunables\n"
	for _, c := range []refusal{
		{"softnet", "", "parse softnet_stat: is empty"},
		{"softnet", "00 00 00 00 00 00 00 00 0g\n",
			`parse softnet_stat line 1: column 9 is "0g", want a hexadecimal number`},
		{"softnet", "0 0 0 0 0 0 0 0\n",
			"parse softnet_stat line 1: 8 columns, want 9 or more"},
		{"softnet", "0 0 0 0 0 0 0 0 0\n0 0 0 0 0 0 0 0 0 0\n",
			"parse softnet_stat line 2: 10 columns, the first row has 9"},
		{"softnet", "0 0 0 0 0 0 0 0 0",
			"parse softnet_stat: is cut short: no newline at its end"},
		{"softnet", "0 0 0 0 0 0 0 0 -1\n",
			`parse softnet_stat line 1: column 9 is "-1", want a hexadecimal number`},
		{"table", "entries found\n1\n",
			"parse per-CPU table line 2: 1 values for 2 columns"},
		{"table", "entries\n", "parse per-CPU table: no row follows the header"},
		{"table", "entries entries\n1 2\n",
			`parse per-CPU table line 1: column "entries" appears twice`},
		{"table", "00000001 00000002\n",
			`parse per-CPU table line 1: "00000001" is not the name of a column`},
		{"slabinfo", "slabinfo - version: 1.1\n",
			`parse slabinfo line 1: "slabinfo - version: 1.1", want slabinfo - version: 2`},
		{"slabinfo", slabHead + "TCP 1 2 3\n",
			`parse slabinfo line 3: "TCP 1 2 3" is not the row of a cache`},
		{"slabinfo", slabHead + "TCP 1 2 x 4 5 : \n",
			`parse slabinfo line 3: column <objsize> is "x", want a number`},
		{"meminfo", "MemTotal: 12 kB\nMemTotal: 12 kB\n",
			`parse meminfo line 2: "MemTotal" appears twice`},
		{"meminfo", "MemTotal: 12 MB\n",
			`parse meminfo line 1: "MemTotal" is "12 MB", want a number`},
		{"meminfo", "MemTotal 12\n",
			`parse meminfo line 1: "MemTotal 12" is not a name and a value`},
		{"stat", "cpu0 1 2\n", "parse stat: no btime line"},
		{"stat", "cpu 1 2\nbtime 5\n", "parse stat: no line of a CPU"},
		{"stat", "btime -5\n", `parse stat line 1: btime is "-5", want a number`},
		{"loadavg", "0.1 0.2 0.3 4 5\n",
			`parse loadavg line 1: "4" is not running/threads`},
		{"loadavg", "0.1 0.2\n", `parse loadavg line 1: "0.1 0.2" has 2 fields, want 5`},
		{"protocols", "protocol size sockets memory\n",
			`parse protocols line 1: "protocol size sockets memory" has no column press`},
		{"protocols", "protocol size sockets memory press\nTCP 2304 1 x no\n",
			`parse protocols line 2: memory is "x", want a number`},
		{"protocols", "protocol size sockets memory press\nTCP 2304\n",
			"parse protocols line 2: 2 columns, want 3 or more"},
		{"sysctl", "4\x0096\n", "parse sysctl: byte 1 is 0"},
		{"counters", "", "parse snmp counters: is empty"},
		{"sockstat", "", "parse sockstat: is empty"},
		{"sockstat", "TCP: inuse\n", `parse sockstat line 1: "TCP": "inuse" has no value`},
		{"sockstat", "garbage\n",
			`parse sockstat line 1: "garbage" does not begin with a protocol`},
	} {
		c.check(t)
	}
}

func TestRefusalsOfProcessFiles(t *testing.T) {
	const limitHead = "Limit                     Soft Limit           Hard Limit           " +
		"Units     \n"
	for _, c := range []refusal{
		{"limits", "Limit Soft\n", `parse limits line 1: "Limit Soft" is not the header`},
		{"limits", limitHead +
			"Max open files            many                 4096                 " +
			"files     \n",
			`parse limits line 2: "Max open files, soft" is "many", want a number`},
		{"limits", limitHead + "Max open files            1024\n",
			`parse limits line 2: "Max open files, hard" is "", want a number`},
		{"limits", limitHead, "parse limits: no limit follows the header"},
		{"status", "Name:\tx\nState:\tR (running)\n", "parse status: no Tgid line"},
		{"status", "Uid:\t1\t2\t3\n", "parse status line 1: Uid has 3 numbers, want 4"},
		{"status", "Uid:\t1\t2\t3\t4294967296\n",
			`parse status line 1: Uid is "4294967296", want a number`},
		{"status", "Threads:\tx\n", `parse status line 1: Threads is "x", want a number`},
		{"pidstat", "12 name R 1\n", "parse process stat: no name in parentheses"},
		{"pidstat", "12 (name) R 1\n",
			"parse process stat: 2 fields follow the name, want 20 or more"},
		{"comm", "x\x00y\n", `parse comm: "x\x00y" is not the name of a process`},
		{"comm", "", "parse comm: is empty"},
	} {
		c.check(t)
	}
}

// No parser takes a file of another kind.
func TestForeignFiles(t *testing.T) {
	own := map[string]string{
		"counters": "counters", "sockstat": "sockstat", "softnet": "softnet",
		"table": "table", "slabinfo": "slabinfo",
		"meminfo": "host", "stat": "host", "loadavg": "host", "protocols": "host",
		"limits": "process", "status": "process", "pidstat": "process",
	}
	for _, archive := range []string{"counters", "sockstat", "softnet", "table", "slabinfo",
		"host", "process"} {
		for name, b := range captures(t, archive) {
			for parser := range own {
				if own[parser] == archive {
					continue
				}
				err := parsers()[parser](b)
				if err == nil {
					t.Errorf("%s accepted %s of %s", parser, name, archive)
				}
				checkRefusal(t, err)
			}
		}
	}
}

func TestCutShort(t *testing.T) {
	for parser, file := range map[string][]byte{
		"counters": capture(t, "counters", "snmp-6.18"),
		"sockstat": capture(t, "sockstat", "v4-6.18"),
		"softnet":  capture(t, "softnet", "6.18"),
		"table":    capture(t, "table", "arp_cache-6.18"),
		"slabinfo": capture(t, "slabinfo", "6.18"),
		"limits":   capture(t, "process", "limits-6.18"),
		"status":   capture(t, "process", "status-6.18"),
		"pidstat":  capture(t, "process", "stat-6.18"),
	} {
		for end := range file {
			if end > 0 && file[end-1] == '\n' {
				continue
			}
			if err := parsers()[parser](file[:end]); err == nil {
				t.Fatalf("%s accepted the first %d of %d bytes", parser, end,
					len(file))
			}
		}
	}
}
