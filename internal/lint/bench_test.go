package lint

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// The files that once took seconds: what a line costs must not grow with the number of lines.
func BenchmarkLint(b *testing.B) {
	for name, text := range map[string]string{
		"two keys in turn, 20,000 lines": inTurn(20000,
			"net.ipv4.tcp_rmem = 4096 131072 %d\n", "net.core.rmem_max = %d\n"),
		"conntrack in turn, 20,000 lines": inTurn(20000,
			"net.netfilter.nf_conntrack_max = %d\n", "net.nf_conntrack_max = %d\n",
			"net.netfilter.nf_conntrack_buckets = %d\n"),
		"reuse in turn, 20,000 lines": inTurn(20000, "net.ipv4.tcp_tw_reuse = 1\n",
			"net.ipv4.tcp_timestamps = %d\n"),
		"one pattern, 5,000 lines": inTurn(5000, "net.*.*.* = %d\n"),
		"two patterns, 5,000 lines": inTurn(5000, "net.*.*.* = %d\n",
			"net.ipv4.* = %d\n"),
		"many patterns, 5,000 lines": patterns(5000),
		"names rolled back, 20,000 lines": inTurn(20000, "net.core.somaxconn = %d\n",
			"-net.core.somaxconn\n"),
		"unknown names, 2,000 lines": inTurn(2000, "net.ipv4.tcp_foobar%d = 1\n"),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Lint([]File{{Name: "etc/sysctl.d/50-x.conf", Text: []byte(text)}},
					Target{Kernel: "6.1"})
			}
		})
	}
}

// 20,000 lines, a third of them with names that no kernel has, as a ratio to reading and splitting
// the same text: x/split. The goal is 0.4 s on the machine of 2026, and the same ratio at any size.
func BenchmarkAgainstSplitting(b *testing.B) {
	for size, n := range map[string]int{"2,000 lines": 2000, "20,000 lines": 20000} {
		text := []byte(inTurn(n, "net.ipv4.tcp_foobar%d = 1\n", "net.core.somaxconn = %d\n",
			"net.ipv4.tcp_fin_timeout = %d\n"))
		b.Run(size, func(b *testing.B) {
			const often = 50
			start := time.Now()
			for range often {
				for line := range bytes.Lines(bytes.Clone(text)) {
					bytes.Fields(line)
				}
			}
			split := float64(time.Since(start).Nanoseconds()) / often
			for b.Loop() {
				Lint([]File{{Name: "x.conf", Text: text}}, Target{Kernel: "6.1"})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/split,
				"x/split")
		})
	}
}

// A benchmark at one and at ten times the size: ns/byte is the same where the work is linear.
func BenchmarkGrowth(b *testing.B) {
	for name, form := range map[string]string{
		"backslashes": "\\\n", "words": "a \\\n", "two names": "net.a.b=1\nnet.a.c=1\n",
		"commands": "sysctl -w a.b=1;",
		"ports":    "1-65535,", "unknown": "net.ipv4.tcp_x%d = 1\n",
	} {
		for size, n := range map[string]int{"1x": 2000, "10x": 20000} {
			text := "net.ipv4.ip_local_reserved_ports = " + inTurn(n, form)
			b.Run(name+"/"+size, func(b *testing.B) {
				for b.Loop() {
					Lint([]File{{Name: "x", Text: []byte(text)}},
						Target{Kernel: "6.1"})
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/
					float64(len(text)), "ns/byte")
			})
		}
	}
}

func inTurn(n int, forms ...string) string {
	var s strings.Builder
	for i := range n {
		f := forms[i%len(forms)]
		if strings.Contains(f, "%d") {
			f = fmt.Sprintf(f, i+1)
		}
		s.WriteString(f)
	}
	return s.String()
}

// patterns are as many different ones, which all match the same names.
func patterns(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, "net.%s*.%s*.* = %d\n", strings.Repeat("*", i%70),
			strings.Repeat("*", i/70), i)
	}
	return s.String()
}
