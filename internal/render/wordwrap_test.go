package render

import (
	"strings"
	"testing"
	"time"

	"github.com/muesli/reflow/wordwrap"
)

// The result is that of the library, for every text that Clean lets through.
func FuzzWrapWords(f *testing.F) {
	f.Add("a word and another   one  ", 8, 0)
	f.Add("averyverylongword and more", 5, 3)
	f.Add("ünï 日本語 text", 4, 2)
	f.Fuzz(func(t *testing.T, text string, limit, color int) {
		if limit < 1 || limit > 200 || len(text) > 1000 {
			return
		}
		text = Clean(text)
		if i := min(max(color, 0), len(text)); color > 0 && strings.ToValidUTF8(text[:i], "") == text[:i] {
			text = text[:i] + "\x1b[1;31m" + text[i:] + "\x1b[0m"
		}
		w := wordwrap.NewWriter(limit)
		w.Breakpoints = nil
		_, _ = w.Write([]byte(text))
		_ = w.Close()
		if got := wrapWords(text, limit); got != w.String() {
			t.Errorf("%q at %d: %q, want %q", text, limit, got, w.String())
		}
	})
}

// The work for a text follows its length: ten times a word takes ten times as long, and not a hundred times.
func BenchmarkWrapWords(b *testing.B) {
	for _, n := range []int{1, 10} {
		b.Run(map[int]string{1: "1x", 10: "10x"}[n], func(b *testing.B) {
			word := strings.Repeat("a", n*10_000)
			begin := time.Now()
			for b.Loop() {
				wrapWords(word, 80)
			}
			b.ReportMetric(float64(time.Since(begin).Nanoseconds())/float64(b.N)/float64(len(word)), "ns/byte")
		})
	}
}
