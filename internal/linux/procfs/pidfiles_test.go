package procfs_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

func TestParseLimits(t *testing.T) {
	number := func(n uint64) procfs.Bound { return procfs.Bound{N: n} }
	unlimited := procfs.Bound{Unlimited: true}
	for _, c := range []struct {
		file string
		want procfs.ResourceLimit
	}{
		{"limits-6.18", procfs.ResourceLimit{Name: "Max open files", Soft: number(20000),
			Hard: number(20000), Unit: "files"}},
		{"limits-6.18", procfs.ResourceLimit{Name: "Max stack size", Soft: number(8388608),
			Hard: unlimited, Unit: "bytes"}},
		{"limits-6.18", procfs.ResourceLimit{Name: "Max nice priority"}},
		{"limits-6.18", procfs.ResourceLimit{Name: "Max realtime timeout", Soft: unlimited,
			Hard: unlimited, Unit: "us"}},
		{"limits-4.x", procfs.ResourceLimit{Name: "Max open files", Soft: number(2048),
			Hard: number(4096), Unit: "files"}},
		{"limits-4.x", procfs.ResourceLimit{Name: "Max nice priority"}},
		{"limits-4.x", procfs.ResourceLimit{Name: "Max locked memory",
			Soft: number(18446744073708503040), Hard: number(18446744073708503040),
			Unit: "bytes"}},
	} {
		limits, err := procfs.ParseLimits(capture(t, "process", c.file))
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		if got, ok := limits.Named(c.want.Name); got != c.want || !ok {
			t.Errorf("%s: got %+v %v, want %+v", c.file, got, ok, c.want)
		}
	}
	if got := unlimited.String() + " " + number(12).String(); got != "unlimited 12" {
		t.Errorf("texts are %s", got)
	}
}

func TestParseStatus(t *testing.T) {
	for file, want := range map[string]procfs.Status{
		"status-6.18": {
			Name:         "python3",
			State:        'R',
			PID:          18979,
			Threads:      1,
			FDSize:       256,
			NSPIDs:       []int{18979},
			Capabilities: 0x1fffeffffff,
			Capable:      true,
		},
		"status-3.10": {
			Name:    "a\nb\\c",
			State:   'S',
			PID:     812,
			Threads: 4,
			FDSize:  128,
			UIDs:    [4]uint32{33, 33, 33, 33},
		},
	} {
		got, err := procfs.ParseStatus(capture(t, "process", file))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

func TestParseProcessStat(t *testing.T) {
	for file, want := range map[string]procfs.ProcessStat{
		"stat-6.18": {
			PID:       18979,
			Comm:      "python3",
			State:     'R',
			Parent:    18936,
			Flags:     4194304,
			Threads:   1,
			StartTime: 199093,
		},
		"stat-odd-name": {
			PID:       812,
			Comm:      "a) S 1 (b\n)",
			State:     'R',
			Parent:    18936,
			Flags:     4194304,
			Threads:   1,
			StartTime: 199093,
		},
	} {
		got, err := procfs.ParseProcessStat(capture(t, "process", file))
		if got != want || err != nil {
			t.Errorf("%s: got %+v %v, want %+v", file, got, err, want)
		}
		if got.Exiting() || got.KernelThread() {
			t.Errorf("%s: %+v is taken for something else", file, got)
		}
	}
	for _, s := range []procfs.ProcessStat{{State: 'Z'}, {State: 'X'},
		{State: 'R', Flags: 0x40000c}} {
		if !s.Exiting() {
			t.Errorf("%+v is not exiting", s)
		}
	}
	if s := (procfs.ProcessStat{State: 'S', Flags: 0x208040}); !s.KernelThread() ||
		s.Exiting() {
		t.Errorf("%+v is not a kernel thread", s)
	}
}

func TestParseComm(t *testing.T) {
	for file, want := range map[string]string{"nginx\n": "nginx", "\n": "",
		"a b)\nc\n": "a b)\nc"} {
		if got, err := procfs.ParseComm([]byte(file)); got != want || err != nil {
			t.Errorf("%q: got %q %v, want %q", file, got, err, want)
		}
	}
}

func TestParseSysctl(t *testing.T) {
	for file, want := range map[string]string{
		"4096\t131072\t33554432\n":  "4096 131072 33554432",
		"\n":                        "",
		"  8080,9148-9150 \n":       "8080,9148-9150",
		"cubic reno\n":              "cubic reno",
		"32768\t60999\n":            "32768 60999",
		"-1\n":                      "-1",
		"|/usr/lib/core  %p\t%u\n ": "|/usr/lib/core %p %u",
	} {
		if got, err := procfs.ParseSysctl([]byte(file)); got != want || err != nil {
			t.Errorf("%q: got %q %v, want %q", file, got, err, want)
		}
	}
}
