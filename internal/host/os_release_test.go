package host

import (
	"strings"
	"testing"
)

// os-release(5) as distributions ship it, and as it may be broken.
func TestParseOSRelease(t *testing.T) {
	for text, want := range map[string]string{
		"NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n": "debian 12",
		"ID=\"rhel\"\nVERSION_ID=\"8.10\"\nID_LIKE=\"fedora\"\n":    "rhel 8.10",
		"ID='ubuntu'\nVERSION_ID='22.04'\n":                         "ubuntu 22.04",
		"ID=arch\nBUILD_ID=rolling\n":                               "arch",
		"# a comment\n  ID=sles  \nVERSION_ID=15.6\n":               "sles 15.6",
		"ID=a\nID=b\n":                      "b",
		"ID=debian\nVERSION_ID=\"$(id)\"\n": "debian",
	} {
		if have, err := ParseOSRelease(text); have != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", text, have, err, want)
		}
	}
	for _, text := range []string{"", "\x00\xff", "NAME=x\nVERSION_ID=1\n", "ID=\n",
		"ID=\"\"\n", "ID=a b\n", "ID=\"debian\n", "ID=Debian\n",
		"ID=" + strings.Repeat("x", 65),
		"XID=debian\n"} {
		if have, err := ParseOSRelease(text); err == nil {
			t.Errorf("%q: %q", text, have)
		}
	}
}

func FuzzParseOSRelease(f *testing.F) {
	f.Add("NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n")
	f.Add("ID='a'\nID=\"b\nVERSION_ID==\n")
	f.Fuzz(func(t *testing.T, text string) {
		have, err := ParseOSRelease(text)
		odd := have == "" || len(have) > 129 || strings.ContainsAny(have, "\n\"'$")
		if err == nil && odd {
			t.Errorf("%q: %q", text, have)
		}
	})
}

// os-release tells whose a kernel is that is packaged as the distribution packages its own, under a
// flavour that is not in the table; nothing else, and never against the release itself.
func TestReleaseOn(t *testing.T) {
	for _, c := range []struct{ release, os, want string }{
		{"5.15.0-73-fips", "ubuntu 22.04", "ubuntu-22.04"},
		{"5.15.0-73-fips", "", "-"},
		{"5.14.21-150500.13.79-rt", "sles 15.5", "sles-15"},
		{"5.14.21-150500.13.79-rt", "opensuse-leap 15.5", "sles-15"},
		{"4.18.0-custom", "rhel 8.10", "-"}, // nobody knows from which sources
		{"6.6.0-custom+", "debian 12", "-"},
		{"6.6.0", "debian 12", "-"},
		{"5.15.0-73-fips", "debian 12", "-"}, // a container's
		{"5.14.0-503.11.1.el9_5.x86_64", "debian 12", "el9"},
		{"5.15.0-101.103.2.1.el8uek.x86_64", "ol 8.10", "-"},
		{"6.1.0-28-amd64", "ubuntu 22.04", "debian-12"},
	} {
		r, err := ParseRelease(c.release)
		if err != nil {
			t.Fatal(err)
		}
		if have := r.On(c.os).Distribution().String(); have != c.want {
			t.Errorf("%s on %q is of %s, want %s", c.release, c.os, have, c.want)
		}
	}
	r, _ := ParseRelease("5.15.0-73-fips")
	fix := Change{Since: V(6, 3), Stable: []Version{V(5, 15).At(147)}}
	if have := r.On("ubuntu 22.04").Has(fix); have != Untold {
		t.Errorf("5.15.0-73-fips of Ubuntu: %d, want not told", have)
	}
}
