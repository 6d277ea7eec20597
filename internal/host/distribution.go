package host

import (
	"slices"
	"strings"
)

// Distribution is whose kernel a release is, and of which version of the distribution: {"el", "8"}.
// The zero value is upstream's, or one that is not known.
type Distribution struct{ Name, Version string }

// String is what people write, "-" where there is none: "el8", "ubuntu-22.04".
func (d Distribution) String() string {
	if d.Name == "el" {
		return d.Name + d.Version
	}
	return d.Name + "-" + d.Version
}

// EL8 is Red Hat Enterprise Linux 8 and what is built from its sources.
var EL8 = Distribution{"el", "8"}

// distribution is one of the table of those whose kernels people run.
type distribution struct {
	Distribution
	series Version
	// marks are parts of what follows the numbers, one of which its releases have.
	marks   []string
	release string // of one kernel of it
	people  string
	// frozen says that the third number of its releases does not count the fixes it has taken
	// from stable kernels; backports, that it has features of newer ones as well.
	frozen, backports bool
}

// Suffixes of releases: Ubuntu's flavours (packages linux-image-*), Debian's architectures.
var (
	ubuntuFlavours = []string{"-generic", "-aws", "-azure", "-gcp", "-gke", "-oracle", "-ibm",
		"-kvm", "-lowlatency", "-raspi", "-nvidia", "-gkeop", "-intel", "-realtime"}
	debianFlavours = []string{"-amd64", "-arm64", "-armmp", "-686", "-s390x", "-ppc64el",
		"-powerpc64le", "-riscv64", "-cloud-"}
)

// distributions are the kernels that distributions ship as their own, by series (access.redhat.com
// "Red Hat Enterprise Linux Release Dates", wiki.ubuntu.com/Kernel/Support, wiki.debian.org/
// DebianReleases, suse.com "SUSE Linux Enterprise kernel versions", docs.aws.amazon.com/linux). The
// same series in a newer kernel of an older release (Ubuntu's HWE, Debian's backports) is the same
// source.
var distributions = []distribution{
	el("7", V(3, 10), "3.10.0-1160.el7.x86_64"),
	el("8", V(4, 18), "4.18.0-553.el8_10.x86_64"),
	el("9", V(5, 14), "5.14.0-503.11.1.el9_5.x86_64"),
	el("10", V(6, 12), "6.12.0-55.9.1.el10_0.x86_64"),
	ubuntu("18.04", V(4, 15), "4.15.0-213-generic"),
	ubuntu("20.04", V(5, 4), "5.4.0-216-generic"),
	ubuntu("22.04", V(5, 15), "5.15.0-130-generic"),
	ubuntu("24.04", V(6, 8), "6.8.0-51-generic"),
	ubuntu("26.04", V(7, 0), "7.0.0-14-generic"),
	debian("10", V(4, 19), "4.19.0-27-amd64", true),
	debian("11", V(5, 10), "5.10.0-32-amd64", true),
	debian("12", V(6, 1), "6.1.0-28-amd64", true),
	debian("13", V(6, 12), "6.12.107+deb13-amd64", false),
	sles("12", V(4, 12), "4.12.14-122.201-default"),
	sles("15", V(5, 3), "5.3.18-150300.59.106-default"),
	sles("15", V(5, 14), "5.14.21-150500.55.88-default"),
	sles("15", V(6, 4), "6.4.0-150600.23.25-default"),
	amazon("2", V(4, 14), "4.14.355-275.572.amzn2.x86_64"),
	amazon("2", V(5, 10), "5.10.230-223.885.amzn2.x86_64"),
	amazon("2023", V(6, 1), "6.1.119-129.201.amzn2023.x86_64"),
	amazon("2023", V(6, 12), "6.12.40-64.114.amzn2023.x86_64"),
}

func el(version string, series Version, release string) distribution {
	return distribution{Distribution{"el", version}, series, []string{".el" + version + ".",
		".el" + version + "_"}, release, "Red Hat Enterprise Linux " + version +
		" and its rebuilds", true, true}
}

func sles(version string, series Version, release string) distribution {
	return distribution{Distribution{"sles", version}, series, []string{"-default", "-azure"},
		release, "SUSE Linux Enterprise " + version, true, true}
}

func ubuntu(version string, series Version, release string) distribution {
	return distribution{Distribution{"ubuntu", version}, series, ubuntuFlavours, release,
		"Ubuntu " + version, true, false}
}

func debian(version string, series Version, release string, frozen bool) distribution {
	return distribution{Distribution{"debian", version}, series, debianFlavours, release,
		"Debian " + version, frozen, false}
}

func amazon(version string, series Version, release string) distribution {
	return distribution{Distribution{"amazon", version}, series, []string{".amzn" + version +
		"."}, release, "Amazon Linux " + version, false, false}
}

// shipped is the row of the table for a release; nil where no distribution ships it as its own: a
// kernel of ELRepo or Oracle's UEK has ".el8" in its release and another series.
func (r Release) shipped() *distribution {
	for i, d := range distributions {
		has := func(mark string) bool { return strings.Contains(r.tail+".", mark) }
		if r.Series() == d.series && slices.ContainsFunc(d.marks, has) &&
			!strings.Contains(r.tail, "uek") && !strings.Contains(r.tail, "elrepo") {
			return &distributions[i]
		}
	}
	return r.ofSystem()
}

// Distribution is whose kernel it is; the zero value where the release does not say.
func (r Release) Distribution() Distribution {
	if d := r.shipped(); d != nil {
		return d.Distribution
	}
	return Distribution{}
}

// Backports says, in a sentence that begins in lower case, that a kernel carries changes of newer
// ones, so that its version tells less, or that this is not known; and why. It is "" for the
// others: Debian, Ubuntu and Amazon carry fixes, which Has knows of.
func (r Release) Backports() string {
	switch d := r.shipped(); {
	case d != nil && d.backports:
		return "this kernel carries backports (" + d.people + ")"
	case d == nil && strings.Contains(r.tail, ".el"):
		return "this kernel carries backports (packaged as those of Red Hat)"
	case d == nil && r.Patch == 0 && r.tail != "":
		return "this kernel may carry backports (its release does not say who built it)"
	}
	return ""
}

// ReleaseNamed reads a release as ParseRelease does, or the name of a distribution: "el8",
// "rhel-8", "ubuntu-22.04", "debian-12", "sles-15", "amazon-2023". Of one with several kernels it
// is the newest.
func ReleaseNamed(text string) (Release, error) {
	name := strings.ToLower(strings.TrimSpace(text))
	for _, d := range slices.Backward(distributions) {
		if slices.Contains(d.names(), name) {
			return ParseRelease(d.release)
		}
	}
	return ParseRelease(text)
}

// names are all that people call it.
func (d Distribution) names() []string {
	out := []string{d.String(), d.Name + d.Version}
	for _, other := range map[string][]string{
		"el":     {"el", "rhel", "centos", "rocky", "alma", "almalinux", "ol"},
		"sles":   {"suse", "sle"},
		"amazon": {"amzn", "al"},
	}[d.Name] {
		out = append(out, other+d.Version, other+"-"+d.Version)
	}
	return out
}

// DistributionNames are the names that ReleaseNamed takes, one for each.
func DistributionNames() (names []string) {
	for _, d := range distributions {
		names = append(names, d.String())
	}
	return slices.Compact(names)
}
