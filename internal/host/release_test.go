package host

import (
	"slices"
	"testing"
)

func TestParseRelease(t *testing.T) {
	for text, want := range map[string]struct {
		v    Version
		tail string
	}{
		"6.18.44-fc":                 {Version{6, 18, 44}, "-fc"},
		"5.4-rc1":                    {V(5, 4), "-rc1"},
		"6.19.0-rc1+":                {V(6, 19), "-rc1+"},
		"4.19":                       {V(4, 19), ""},
		"5.14.0-503.el9.x86_64":      {V(5, 14), "-503.el9.x86_64"},
		"6.1.0-28-cloud-amd64":       {V(6, 1), "-28-cloud-amd64"},
		"6.12.107+deb13-cloud-amd64": {Version{6, 12, 107}, "+deb13-cloud-amd64"},
		"6.6.0-custom+":              {V(6, 6), "-custom+"},
		"5.15.153.1-microsoft-standard-WSL2": {Version{5, 15, 153},
			".1-microsoft-standard-WSL2"},
		"2.6.32": {Version{2, 6, 32}, ""},
		"6.1.y":  {V(6, 1), ".y"},
		"5.4foo": {V(5, 4), "foo"},
	} {
		r, err := ParseRelease(" " + text + "\n")
		if err != nil || r.Version != want.v || r.tail != want.tail || r.String() != text ||
			!r.Known() {
			t.Errorf("%q is %+v, %v", text, r, err)
		}
	}
	for _, text := range []string{
		"", " ", "6", "6.", ".1", "strange", "v6.1", "6-1", "6..1", "0.99", "-6.1", "+6.1",
		"6.-1",
		"6.70000", "70000.1", "el8", "6,1",
	} {
		if r, err := ParseRelease(text); err == nil || r.Known() {
			t.Errorf("%q is %+v", text, r)
		}
	}
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]Version{"4.19": V(4, 19), "6.12.9": {6, 12, 9}} {
		if v, err := ParseVersion(text); err != nil || v != want || v.String() != text {
			t.Errorf("%q is %v, %v", text, v, err)
		}
	}
	for _, text := range []string{"", "4", "4.19-rc1", "4.19.x", "6.1.0-18-amd64"} {
		if v, err := ParseVersion(text); err == nil {
			t.Errorf("%q is %v", text, v)
		}
	}
}

func TestSinceAndBefore(t *testing.T) {
	for _, c := range []struct {
		text          string
		since, before bool
	}{
		{"4.19", true, false}, {"4.19.0", true, false}, {"4.19-rc1", true, false},
		{"4.20", true, false},
		{"10.1.0", true, false}, {"4.19.0-25-amd64", true, false}, {"5.4-rc1", true, false},
		{"4.18.20", false, true}, {"4.9.0-8-amd64", false, true},
		{"3.10.0-1160.el7", false, true},
		{"2.6.32", false, true}, {"", false, false}, {"six", false, false},
	} {
		r, _ := ParseRelease(c.text)
		if r.Since(4, 19) != c.since || r.Before(4, 19) != c.before {
			t.Errorf("%q: since %v, before %v", c.text, r.Since(4, 19), r.Before(4, 19))
		}
	}
}

func TestOrder(t *testing.T) {
	want := []string{
		"4.19", "5.4-rc1", "5.4-rc10", "5.4", "5.4.0-9-amd64", "5.10.0-9-cloud-amd64",
		"5.10.0-32-cloud-amd64", "6.1.0-50-cloud-amd64", "6.12.94+deb13-amd64",
		"6.12.107+deb13-amd64",
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, func(a, b string) int {
		r, _ := ParseRelease(a)
		s, _ := ParseRelease(b)
		return r.Order(s)
	})
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// oneMore is 3479c7549fb1: a listener takes one half-open connection more than its backlog. It was
// measured on 6.18.44, and on Debian's 6.1.176 and 6.12.107; not on 5.10.223.
var oneMore = Change{Since: V(6, 13), Stable: []Version{
	{5, 4, 290}, {5, 10, 234}, {5, 15, 177}, {6, 1, 125}, {6, 6, 72}, {6, 12, 10},
}}

// Releases of distributions that do not tell their upstream version tell nothing.
func TestHas(t *testing.T) {
	for text, want := range map[string]Answer{
		"6.18.44": Yes, "6.13.0": Yes, "7.2.3": Yes, "6.13-rc7": Yes,
		"6.12.107+deb13-amd64": Yes,
		"6.12.10":              Yes, "6.1.176": Yes, "5.10.234": Yes, "5.4.290": Yes,
		"6.12.9": No, "6.12.0": No, "6.1.124": No, "5.10.223": No, "5.11.22": No,
		"4.19.325": No,
		"4.4":      No, "6.6.71-1.qubes": No,
		"6.1.0-18-amd64": Untold, "5.15.0-130-generic": Untold,
		"5.14.0-427.el9.x86_64": Untold,
		"5.14.21-427.el9":       Untold, "6.6.0-custom+": Untold, "strange": Untold,
		"":  Untold,
		"6": Untold,
	} {
		r, _ := ParseRelease(text)
		if have := r.Has(oneMore); have != want {
			t.Errorf("%q: %d, want %d", text, have, want)
		}
	}
}

func FuzzRelease(f *testing.F) {
	for _, text := range []string{
		"6.12.107+deb13-cloud-amd64", "3.10.0-1062.9.1.el7.x86_64", "5.4-rc1", "4.19",
		"6.6.0-custom+", "",
	} {
		f.Add(text, "6.13-rc7")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		r, err := ParseRelease(a)
		s, _ := ParseRelease(b)
		if (err == nil) != r.Known() ||
			r.Since(6, 13) && (r.Before(6, 13) || r.Has(oneMore) != Yes) {
			t.Fatalf("%q is %+v, %v", a, r, err)
		}
		if r.Known() && !r.Since(6, 13) && !r.Before(6, 13) ||
			!r.Known() && r.Has(oneMore) != Untold {
			t.Fatalf("%q is neither since nor before", a)
		}
		if again, err := ParseRelease(r.String()); err == nil && again != r {
			t.Fatalf("%q reads back as %+v", a, again)
		}
		if r.Order(s) != -s.Order(r) || r.Order(r) != 0 {
			t.Fatalf("%q and %q have no order", a, b)
		}
	})
}

func TestBefore(t *testing.T) {
	const want = "before Linux 6.13, and before 6.12.10, 6.6.72, 6.1.125, 5.15.177, " +
		"5.10.234, 5.4.290 " +
		"of the stable kernels"
	if have := oneMore.Before(); have != want {
		t.Error(have)
	}
	if have := (Change{Since: V(4, 19)}).Before(); have != "before Linux 4.19" {
		t.Error(have)
	}
}
