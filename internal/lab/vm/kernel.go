//go:build linux

package vm

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
)

// ErrUnavailable says that this host cannot run virtual machines, or cannot fetch kernels:
// a program is not installed, or the processor is no x86-64. The message names what is missing.
var ErrUnavailable = errors.New("vm: virtual machines cannot be run here")

// Kernel is one kernel on this host's disk.
type Kernel struct {
	Series  string `json:"series"`  // as asked of Fetch: "6.1", "newest"
	Release string `json:"release"` // as uname -r prints it: "6.1.0-50-cloud-amd64"
	// of the Debian package: "6.1.176-1" has the upstream version
	Version string `json:"version"`
	Sums    string `json:"sums"` // SHA-256 of the file with the hashes of all others
	Image   string `json:"-"`    // path of the bzImage
	// path of the directory that holds kernel/ and modules.builtin
	Modules string `json:"-"`
}

// cacheDir is where fetched kernels are kept, a directory for each release.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("vm: find the cache directory: %w", err)
	}
	return filepath.Join(base, "maxconn", "kernels"), nil
}

// Kernels lists the kernels that Fetch has left in the cache
// ($XDG_CACHE_HOME/maxconn/kernels), the oldest first.
func Kernels() ([]Kernel, error) {
	dir, err := cacheDir()
	if err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(dir, "*", recordName))
	if err != nil {
		return nil, fmt.Errorf("vm: list kernels: %w", err)
	}
	var kernels []Kernel
	for _, record := range found {
		k, err := readKernel(filepath.Dir(record))
		if err != nil {
			return nil, err
		}
		kernels = append(kernels, k)
	}
	slices.SortFunc(kernels, func(a, b Kernel) int {
		return compareReleases(a.Release, b.Release)
	})
	return kernels, nil
}

// recordName is the file that says what a cached kernel is. Its directory appears in
// one rename, so a kernel that has it is whole.
const recordName = "kernel.json"

func readKernel(dir string) (Kernel, error) {
	text, err := os.ReadFile(filepath.Join(dir, recordName))
	if err != nil {
		return Kernel{}, fmt.Errorf("vm: cached kernel: %w", err)
	}
	var k Kernel
	if err := json.Unmarshal(text, &k); err != nil {
		return Kernel{}, fmt.Errorf("vm: cached kernel %s: %w", dir, err)
	}
	k.Image, k.Modules = filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "modules")
	return k, nil
}

func (k Kernel) write(dir string) (err error) {
	if k.Sums, err = writeSums(dir); err != nil {
		return err
	}
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, recordName), append(text, '\n'), 0o666)
}

// compareReleases orders "5.10.0-32" before "6.1.0-50".
func compareReleases(a, b string) int {
	r, _ := host.ParseRelease(a)
	s, _ := host.ParseRelease(b)
	return cmp.Or(r.Order(s), cmp.Compare(a, b))
}

// Newest is the series of the newest kernel that Debian has.
const Newest = "newest"

// source is where a series is found.
type source struct {
	series string
	suites []string // tried in this order
}

// sources lists Debian's stable kernels that are still maintained, and the newest.
func sources() []source {
	return []source{
		{"5.10", []string{"bullseye"}},
		{"6.1", []string{"bookworm"}},
		{"6.12", []string{"trixie", "bookworm-backports"}},
		{Newest, []string{"sid", "trixie-backports"}},
	}
}

// Series lists what Fetch can fetch, the oldest first.
func Series() []string {
	var all []string
	for _, s := range sources() {
		all = append(all, s.series)
	}
	return all
}

func suitesOf(series string) []string {
	i := slices.IndexFunc(sources(), func(s source) bool { return s.series == series })
	if i < 0 {
		return nil
	}
	return sources()[i].suites
}

// belongs tells whether a release is of the series.
func belongs(release, series string) bool {
	return series == Newest || strings.HasPrefix(release, series+".")
}

// mirrorEnv names a mirror of Debian, for hosts whose apt has none.
const mirrorEnv = "MAXCONN_VM_MIRROR"

// mirror finds a mirror of Debian's main archive: the host's own.
func mirror(ctx context.Context) (string, error) {
	if m := os.Getenv(mirrorEnv); m != "" {
		if strings.ContainsFunc(m, func(r rune) bool { return r <= ' ' }) {
			return "", fmt.Errorf("%s=%q is no address", mirrorEnv, m)
		}
		return m, nil
	}
	// Says what an update would load, in whichever form the sources are written.
	uris, err := output(exec.CommandContext(ctx, "apt-get", "update", "--print-uris"),
		"apt-get update --print-uris")
	if err != nil {
		return "", err
	}
	if m := debianMirror(uris); m != "" {
		return m, nil
	}
	return "", errors.New("no source of apt is a mirror of Debian: name one in " + mirrorEnv)
}

// debianMirror picks the first source that has a suite of Debian's main archive. Suites of
// other publishers have other names (Ubuntu's, "bookworm-security", "cloud-sdk-bookworm").
func debianMirror(uris string) string {
	release := regexp.MustCompile(`^'([^']+?)/*/dists/` +
		`(?:buster|bullseye|bookworm|trixie|forky|duke|sid|unstable|testing|stable|oldstable|oldoldstable)/InRelease'`)
	for line := range strings.Lines(uris) {
		if m := release.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	return ""
}
