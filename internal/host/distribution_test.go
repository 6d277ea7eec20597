package host

import "testing"

// Releases as packages of distributions, and others, have them; a kernel in the packaging of a
// distribution that is not its own (UEK, ELRepo, a newer series) is none of its.
func TestDistribution(t *testing.T) {
	for text, want := range map[string]string{
		"4.18.0-80.el8.x86_64": "el8", "4.18.0-553.8.1.el8_10.aarch64": "el8",
		"5.14.0-70.13.1.el9_0.x86_64": "el9", "6.12.0-55.9.1.el10_0.x86_64": "el10",
		"3.10.0-1160.el7.x86_64":          "el7",
		"4.14.355-275.572.amzn2.x86_64":   "amazon-2",
		"5.10.230-223.885.amzn2.x86_64":   "amazon-2",
		"6.1.119-129.201.amzn2023.x86_64": "amazon-2023",
		"5.15.0-130-generic":              "ubuntu-22.04",
		"5.15.0-1075-aws":                 "ubuntu-22.04",
		"6.8.0-1021-gcp":                  "ubuntu-24.04",
		"5.4.0-1140-azure":                "ubuntu-20.04",
		"6.1.0-28-amd64":                  "debian-12", "6.1.0-28-cloud-amd64": "debian-12",
		"5.10.0-32-arm64": "debian-11", "6.12.107+deb13-cloud-amd64": "debian-13",
		"6.1.0-0.deb11.21-amd64":           "debian-12",
		"5.14.21-150500.55.88-default":     "sles-15",
		"6.4.0-150600.23.25-default":       "sles-15",
		"4.12.14-122.201-default":          "sles-12",
		"5.15.0-101.103.2.1.el8uek.x86_64": "-", "6.9.1-1.el8.elrepo.x86_64": "-",
		"6.12.0-1.el8.x86_64": "-", "6.9.1-1-default": "-",
		"6.6.0-custom+": "-", "6.18.44-fc": "-", "6.8.12-300.fc40.x86_64": "-",
		"6.6.87.2-microsoft-standard-WSL2": "-", "": "-",
	} {
		r, _ := ParseRelease(text)
		if have := r.Distribution().String(); have != want {
			t.Errorf("%q is of %q, want %q", text, have, want)
		}
	}
}

// Each kernel of the table is of its distribution, and each name people have leads to it.
func TestReleaseNamed(t *testing.T) {
	for _, d := range distributions {
		r, err := ParseRelease(d.release)
		if err != nil || r.Distribution() != d.Distribution || r.Series() != d.series {
			t.Errorf("%s is of %v, want %v (%v)", d.release, r.Distribution(), d, err)
		}
		for _, name := range d.names() {

			r, err := ReleaseNamed(name)
			if err != nil || r.Distribution() != d.Distribution {
				t.Errorf("%s is %s of %v (%v)", name, r, r.Distribution(), err)
			}
		}
	}
	for name, want := range map[string]string{
		"el8": "4.18", "RHEL-9": "5.14", "rocky-8": "4.18", "el10": "6.12",
		"ubuntu-22.04": "5.15", "debian-12": "6.1", "sles-15": "6.4", "amazon-2023": "6.12",
		"4.9": "4.9", "6.1.0-13-amd64": "6.1",
	} {
		r, err := ReleaseNamed(name)
		if err != nil || r.Series().String() != want {
			t.Errorf("%s is %s, want %s (%v)", name, r, want, err)
		}
	}
	for _, name := range []string{"el6", "ubuntu", "debian-99", "", "el", "sles"} {
		if r, err := ReleaseNamed(name); err == nil {
			t.Errorf("%q is %s", name, r)
		}
	}
}

// A feature (no stable kernel took it) is not in a kernel of Debian or Ubuntu of an older series;
// Red Hat and SUSE carry features, and whose kernel it is may not be known.
func TestHasByDistribution(t *testing.T) {
	feature := Change{Since: V(6, 13), In: []Distribution{{"el", "9"}}}
	for text, want := range map[string]Answer{
		"6.12.107": No, "6.1.0-28-amd64": No, "5.15.0-130-generic": No,
		"6.1.119-129.201.amzn2023.x86_64": No, "5.14.0-503.el9.x86_64": Yes,
		"6.12.0-55.el10.x86_64": Untold, "4.18.0-553.el8_10.x86_64": Untold,
		"5.14.21-150500.55.88-default": Untold, "5.15.0-101.103.2.1.el8uek.x86_64": Untold,
		"6.6.0-custom+": Untold, "6.13.0-custom+": Yes,
	} {
		r, _ := ParseRelease(text)
		if have := r.Has(feature); have != want {
			t.Errorf("%s: %d, want %d", text, have, want)
		}
	}
}
