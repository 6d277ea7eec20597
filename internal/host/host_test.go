package host

import (
	"errors"
	"math"
	"testing"
	"time"
)

func TestReaderNeverTurnsAbsentIntoZero(t *testing.T) {
	s := parse(t, "sysctl a = 7\nsysctl b ! permission denied\nsysctl c = x\n")
	r := s.Read()
	if r.Int(Sysctl("a")) != 7 || r.Err() != nil {
		t.Fatal("a is 7")
	}
	var missing *Missing
	if r.Int(Sysctl("b")); !errors.As(r.Err(), &missing) || missing.Why != "permission denied" {
		t.Fatalf("reading b: %v", r.Err())
	}
	if r.Int(Sysctl("a")) != 0 {
		t.Error("after an error, results are void")
	}
	r = s.Read()
	var malformed *Malformed
	if r.Int(Sysctl("c")); !errors.As(r.Err(), &malformed) {
		t.Errorf("reading c: %v", r.Err())
	}
	r = s.Read()
	if _, ok := r.Maybe(Sysctl("none")); ok || r.Err() != nil {
		t.Error("Maybe of an absent fact is not known, and no error")
	}
}

func TestIntClampsUnsigned(t *testing.T) {
	s := parse(t, "sysctl a = 18446744073709551615\nsysctl b = 9223372036854775807\n")
	r := s.Read()
	if r.Int(Sysctl("a")) != math.MaxInt64 || r.Int(Sysctl("b")) != math.MaxInt64 ||
		r.Err() != nil {
		t.Error("values up to 2^64 clamp to 2^63-1")
	}
}

func TestPorts(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "80": 1, "1-65535": 65535,
		"8080,9148-9150": 4, "0-65535": 65536} {
		s, err := ParsePorts(text)
		if err != nil || s.Len() != want || s.String() != text {
			t.Errorf("%q: %d ports, %q, %v", text, s.Len(), s.String(), err)
		}
	}
	for _, text := range []string{"x", "70000", "5-4", "1,,2", "-", "80,"} {
		if _, err := ParsePorts(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func FuzzPorts(f *testing.F) {
	f.Add("8080,9148-9150", uint16(100), uint16(9149))
	f.Fuzz(func(t *testing.T, text string, low, high uint16) {
		s, err := ParsePorts(text)
		if err != nil {
			return
		}
		if again, err := ParsePorts(s.String()); err != nil || again != s {
			t.Fatalf("%q came back as %q, %v", text, again, err)
		}
		var n int64
		for p := int(low); p <= int(high); p++ {
			if s.Has(uint16(p)) {
				n++
			}
		}
		in := s.Within(int64(low), int64(high))
		if in.Len() != n {
			t.Fatalf("%q within %d-%d: %d ports, want %d", text, low, high, in.Len(), n)
		}
	})
}

func TestWithChangesACopy(t *testing.T) {
	s := parse(t, "sysctl a = 1\nprocess 7 = soft=1024 hard=4096\n")
	c := s.With(Setting{Sysctl("a"), "2"}, Setting{Fact{ProcessKind, "7#soft"}, "4096"})
	if s.Read().Int(Sysctl("a")) != 1 || c.Read().Int(Sysctl("a")) != 2 {
		t.Error("the setting holds in the copy only")
	}
	row, _ := c.Read().Row(ProcessKind, "7")
	was, _ := s.Read().Row(ProcessKind, "7")
	if row.Count("soft") != 4096 || was.Count("soft") != 1024 {
		t.Error("the field changes in the copy only")
	}
}

func TestWindow(t *testing.T) {
	before := parse(t,
		"counter TcpExt.ListenDrops = 5\ncounter TcpExt.Still = 3\nlistener 0.0.0.0:80 "+
			"= drops=1 queue=9\nsysctl a = 1\n")
	after := parse(t,
		"counter TcpExt.ListenDrops = 9\ncounter TcpExt.Still = 3\nlistener 0.0.0.0:80 "+
			"= drops=4 queue=2\nsysctl a = 2\n")
	r := Window(before, after, 10*time.Second).Read()
	for name, c := range map[string]struct {
		fact  Fact
		field []string
		want  int64
	}{
		"counter": {Counter("TcpExt.ListenDrops"), nil, 4},
		"still":   {Counter("TcpExt.Still"), nil, 0},
		"row":     {Fact{ListenerKind, "0.0.0.0:80"}, []string{"drops"}, 3},
		"gauge":   {Fact{ListenerKind, "0.0.0.0:80"}, []string{"queue"}, 0},
		"sysctl":  {Sysctl("a"), nil, 0},
	} {
		if d, ok := r.Moved(c.fact, c.field...); !ok || d != c.want {
			t.Errorf("%s moved by %d, %v; want %d", name, d, ok, c.want)
		}
	}
	if _, ok := after.Read().Moved(Counter("TcpExt.ListenDrops")); ok {
		t.Error("one sample cannot tell what moved")
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]Age{
		0:                       "0s",
		1900 * time.Millisecond: "0s",
		2 * time.Second:         "2s",
		59 * time.Second:        "10s",
		3 * time.Hour:           "1h",
	} {
		if got := AgeOf(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
	if Age("").AtLeast(0) {
		t.Error("an unknown age reaches nothing")
	}
	if !Age("1m").AtLeast(10 * time.Second) {
		t.Error("1m reaches 10s")
	}
}

func TestRedact(t *testing.T) {
	s := parse(t, `system name = db7.example.org
outbound 10.1.2.3->10.9.9.9:5432 = ESTABLISHED=2 process=billing pid=7
outbound 10.1.2.3->[2a00:1::5]:443 = ESTABLISHED=2 process=billing pid=7
listener 10.1.2.3:80 = queue=0 limit=5 process=billing
listener 127.0.0.1:81 = queue=0 limit=5
listener [::]:82 = queue=0 limit=5
moved listener/10.1.2.3:80/drops = 4
process 7 = name=billing unit=billing.service cgroup=/system.slice/billing.service soft=1024
cgroup /system.slice/billing.service = version=2 memory_max=max
sysctl net.core.somaxconn = 4096
`)
	text := string(Redact(s).Text())
	want := header + `
cgroup /system.slice/unit-1.service = version=2 memory_max=max
listener 127.0.0.1:81 = queue=0 limit=5
listener 240.0.0.1:80 = queue=0 limit=5 process=process-2
listener [::]:82 = queue=0 limit=5
moved listener/240.0.0.1:80/drops = 4
outbound 240.0.0.1->240.0.0.2:5432 = ESTABLISHED=2 process=process-2 pid=7
outbound 240.0.0.1->[2001:db8::1]:443 = ESTABLISHED=2 process=process-2 pid=7
process 7 = name=process-2 unit=unit-1.service cgroup=/system.slice/unit-1.service soft=1024
sysctl net.core.somaxconn = 4096
system name = host-3
end
`
	if text != want {
		t.Errorf("have\n%s\nwant\n%s", text, want)
	}
}
