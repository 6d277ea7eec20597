package near

import (
	"math/rand/v2"
	"testing"
)

func TestEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"somaxcon", "somaxconn", 1},
		{"kitten", "sitting", 3}, {"tcp_tw_resue", "tcp_tw_reuse", 2}, {"é", "e", 2},
	} {
		if got := Edits(c.a, c.b, 10); got != c.want {
			t.Errorf("%q, %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
	if got := Edits("abcdef", "uvwxyz", 2); got != 3 {
		t.Errorf("above the most: %d", got)
	}
}

// The distance is a metric, and a bound changes nothing below it.
func TestMetric(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		b := make([]byte, r.IntN(9))
		for i := range b {
			b[i] = "abcA\x00\xff"[r.IntN(6)]
		}
		return string(b)
	}
	for range 20000 {
		a, b, c := word(), word(), word()
		ab, bc, ac := Edits(a, b, 99), Edits(b, c, 99), Edits(a, c, 99)
		most := r.IntN(9)
		switch {
		case ab != Edits(b, a, 99), (ab == 0) != (a == b), ab > max(len(a), len(b)),
			ac > ab+bc:
			t.Fatalf("%q %q %q: %d %d %d", a, b, c, ab, bc, ac)
		case Edits(a, b, most) != min(ab, most+1):
			t.Fatalf("%q %q: %d, with at most %d: %d", a, b, ab, most,
				Edits(a, b, most))
		}
	}
}

func FuzzEdits(f *testing.F) {
	f.Add("net.core.somaxcon", "net.core.somaxconn", 3)
	f.Fuzz(func(t *testing.T, a, b string, most int) {
		if len(a) > 200 || len(b) > 200 || most > 1<<20 {
			return
		}
		if d := Edits(a, b, most); most >= 0 &&
			(d < 0 || d > most+1 || d != Edits(b, a, most)) {
			t.Errorf("%q, %q: %d", a, b, d)
		}
	})
}
