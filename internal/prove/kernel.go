package prove

import "github.com/maxconn/maxconn/internal/host"

// older says whether a kernel release ("6.1.0-50-cloud-amd64") is before a version ("6.3"). A
// release that is not known is not older: the trial will find out.
func older(release, version string) bool {
	r, _ := host.ParseRelease(release)
	v, err := host.ParseVersion(version)
	return err == nil && r.Known() && r.Compare(v) < 0
}
