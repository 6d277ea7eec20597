package limit

import "testing"

// A listener takes one half-open connection more than its backlog: measured on 6.18.44, and on Debian's 6.1.176 and 6.12.107; not on
// 5.10.223. Releases of distributions that do not tell their upstream version tell nothing.
func TestHasChange(t *testing.T) {
	for release, want := range map[string]answer{
		"6.18.44": yes, "6.13.0": yes, "7.2.3": yes, "6.13-rc7": yes, "6.12.107+deb13-cloud-amd64": yes, "6.12.10": yes, "6.1.176": yes, "5.10.234": yes, "5.4.290": yes,
		"6.12.9": no, "6.12.0": no, "6.1.124": no, "5.10.223": no, "5.11.22": no, "4.19.325": no, "4.4": no, "6.6.71-1.qubes": no,
		"6.1.0-18-amd64": untold, "5.15.0-130-generic": untold, "5.14.0-427.el9.x86_64": untold, "5.14.21-427.el9": untold, "strange": untold, "": untold, "6": untold,
	} {
		if have := hasChange(release, 6, 13, oneMoreStable); have != want {
			t.Errorf("%q: %d, want %d", release, have, want)
		}
	}
}

func FuzzRelease(f *testing.F) {
	f.Add("6.12.107+deb13-cloud-amd64")
	f.Add("3.10.0-1062.9.1.el7.x86_64")
	f.Fuzz(func(t *testing.T, release string) {
		if hasChange(release, 6, 13, oneMoreStable) == no && kernelSince(release, 6, 13) {
			t.Error(release)
		}
	})
}
