package lint

import "testing"

// What a form that lint does not know may set is said, below a directory too, and nothing is
// clean then. A comment, a comparison and what is only shown are none of it.
func TestMentions(t *testing.T) {
	for text, want := range map[string]int{
		"tuner: net.core.somaxconn :: 4096 ;; x\n":              1,
		"apply /proc/sys/net/core/somaxconn <- 4096 ;; x\n":     0,
		"f(net.core.somaxconn, 4096);\ng(LimitNOFILE, 65536)\n": 2,
		"// f(net.core.somaxconn, 4096);\n":                     0,
		"x(); // f(net.core.somaxconn, 4096);\n":                0,
		"/*\nf(net.core.somaxconn, 4096);\n*/\n":                0,
		"if (net.core.somaxconn == 4096) x();\n":                0,
		"f(net.core.somaxconn, a, b, 4096);\n":                  0,
		"f(net.ipv4.tcp_sack.x, 1.5);\n":                        0,
	} {
		r := Lint([]File{{Name: "x.ts", Text: []byte(text), Found: true}},
			Target{Kernel: "6.12"})
		n := 0
		for _, f := range r.Read {
			n += len(f.Refers)
		}
		if n != want || want > 0 && !r.Partial() || r.Whole() {
			t.Errorf("%q: %d mentions, want %d; %+v", text, n, want, r)
		}
	}
}
