package prove

import "github.com/maxconn/maxconn/internal/linux/procfs"

// older says whether a kernel release ("6.1.0-50-cloud-amd64") is before a version
// ("6.3"). An unreadable release is not older: the trial will find out.
func older(release, version string) bool {
	r, err := procfs.ParseRelease(release)
	if err != nil {
		return false
	}
	v, err := procfs.ParseRelease(version + ".0")
	return err == nil && !r.AtLeast(v.Major, v.Minor)
}
