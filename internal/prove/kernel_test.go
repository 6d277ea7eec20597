package prove

import "testing"

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		release, version string
		want             bool
	}{
		{"6.1.0-50-cloud-amd64", "6.3", true}, {"6.3.0", "6.3", false},
		{"6.12.107+deb13-cloud-amd64", "6.3", false},
		{"5.10.0-32-cloud-amd64", "6.0", true}, {"", "6.3", false}, {"none", "6.3", false},
	} {
		if got := older(c.release, c.version); got != c.want {
			t.Errorf("%q older than %s: %v", c.release, c.version, got)
		}
	}
}
