package host

import (
	"fmt"
	"strings"
	"testing"
)

// A table without end is read in part, and says so; what is no table is refused.
func TestBounds(t *testing.T) {
	rows := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	s := parse(t, rows("listener 1:%d = queue=1\n", mostRows+5))
	r := s.Read()
	if n, why := len(r.Table(ListenerKind)), r.Partial(ListenerKind); n != mostRows ||
		!strings.Contains(why, "5 more") {
		t.Errorf("%d rows, %q", n, why)
	}
	s = parse(t, rows("listener 1:%d = queue=1\n", mostRows-1)+rows("process %d = files=1\n",
		mostRows))
	all := len(s.Read().Rows(ListenerKind)) + len(s.Read().Rows(ProcessKind))
	if all != mostRows || s.Read().Partial(ProcessKind) == "" ||
		s.Read().Partial(ListenerKind) != "" {
		t.Errorf("%d rows of two tables", all)
	}
	for name, text := range map[string]string{
		"facts":  rows("sysctl a%d = 1\n", mostFacts+1),
		"name":   "sysctl " + strings.Repeat("a", mostName+1) + " = 1\n",
		"kind":   strings.Repeat("a", mostKind+1) + " a = 1\n",
		"value":  "sysctl a = " + strings.Repeat("1", mostValue+1) + "\n",
		"reason": "sysctl a ! " + strings.Repeat("1", mostName+1) + "\n",
		"field":  "process 1 = name=" + strings.Repeat("1", mostName+1) + "\n",
		"fields": "process 1 =" + strings.Repeat(" a=1", mostFields+1) + "\n",
	} {
		if _, err := Parse([]byte(header + "\n" + text + "end\n")); err == nil ||
			len(err.Error()) > 300 {
			t.Errorf("%s: %.300v", name, err)
		}
	}
	ports := "binder 1 = ports=1" + strings.Repeat(",3-65535", 20000) + "\n"
	if n := len(parse(t, ports).Read().Rows(BinderKind)); n != 1 {
		t.Error("a long list of ports is a list of ports")
	}
}

// A benchmark at one and at ten times the size: ns/byte is the same where the work is linear.
func BenchmarkParse(b *testing.B) {
	for name, n := range map[string]int{"1x": 1000, "10x": 10000} {
		var text strings.Builder
		text.WriteString(header + "\n")
		for i := range n {
			fmt.Fprintf(&text,
				"listener 1:%d = queue=1 limit=5 process=\"a b\"\nsysctl "+
					"a%d = 1\n", i, i)
		}
		text.WriteString("end\n")
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Parse([]byte(text.String())); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/
				float64(text.Len()), "ns/byte")
		})
	}
}
