package listen

import "testing"

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"4096\n", "0", "-1", "", "1 2", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n := parseNumber(s); n < Unknown {
			t.Errorf("%q is %d", s, n)
		}
	})
}

func TestNumber(t *testing.T) {
	for text, want := range map[string]int{
		"4096\n":               4096,
		"0":                    0,
		"-1":                   Unknown,
		"":                     Unknown,
		"1 2":                  Unknown,
		"99999999999999999999": Unknown,
	} {
		if got := parseNumber(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
	if n := sysctl("net/no/such/file"); n != Unknown {
		t.Errorf("an absent file is %d", n)
	}
}
