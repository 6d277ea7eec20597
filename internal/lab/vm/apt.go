//go:build linux

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// apt is the host's apt with a package list of its own. Keys, proxies and sources of
// the host are read, nothing of the host is written.
type apt struct {
	dir   string
	index []byte // the index of packages, as Debian signed it
}

// newApt loads the index of one Debian suite, and verifies it.
func newApt(ctx context.Context, dir, suite string) (*apt, error) {
	if err := checkTools(keyring); err != nil {
		return nil, err
	}
	mirror, err := mirror(ctx)
	if err != nil {
		return nil, err
	}
	a := &apt{dir: dir}
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "packages"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o777); err != nil {
			return nil, err
		}
	}
	entry := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n"+
		"Architectures: amd64\nSigned-By: %s\n", mirror, suite, keyring)
	if err := os.WriteFile(a.path("debian.sources"), []byte(entry), 0o666); err != nil {
		return nil, err
	}
	if _, err = a.run(ctx, "apt-get", "update", "-q"); err != nil {
		return nil, err
	}
	a.index, err = a.verifiedIndex(ctx, suite, keyring)
	return a, err
}

func (a *apt) path(name string) string { return filepath.Join(a.dir, name) }

// options replace every place that apt writes to (apt.conf(5), section DIRECTORIES).
func (a *apt) options() []string {
	return []string{
		"-o", "Dir::Etc::SourceList=" + a.path("debian.sources"),
		"-o", "Dir::Etc::SourceParts=-",
		"-o", "Dir::State=" + a.path("state"),
		"-o", "Dir::State::Status=/dev/null",
		"-o", "Dir::Cache=" + a.path("cache"),
		"-o", "APT::Architecture=amd64",
		"-o", "APT::Sandbox::User=", // it may not enter our directory
		"-o", "Acquire::Languages=none",
		"-o", "Acquire::GzipIndexes=false",
		// What this host may allow for its own packages is not allowed here.
		"-o", "Acquire::AllowInsecureRepositories=false",
		"-o", "Acquire::AllowWeakRepositories=false",
		"-o", "Acquire::AllowDowngradeToInsecureRepositories=false",
		"-o", "APT::Get::AllowUnauthenticated=false",
		"-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
	}
}

func (a *apt) run(ctx context.Context, tool string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, tool, append(a.options(), args...)...)
	cmd.Dir = a.path("packages")
	return output(cmd, tool+" "+args[0])
}

// output runs a program and gives what it printed, or an error with its complaint.
func output(cmd *exec.Cmd, what string) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", what, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), nil
}

// kernelPackages follows the dependencies of Debian's package for the current cloud kernel down
// to those that hold image and modules: one package until Debian 13, four in Debian 14.
func (a *apt) kernelPackages(ctx context.Context) (names []string, version string, err error) {
	queue := []string{"linux-image-cloud-amd64"}
	for i := 0; i < len(queue); i++ {
		record, err := a.run(ctx, "apt-cache", "show", "--no-all-versions", queue[i])
		if err != nil {
			return nil, "", err
		}
		for _, name := range kernelDepends(record) {
			if !slices.Contains(queue, name) {
				queue = append(queue, name)
			}
		}
		version = field(record, "Version")
	}
	if len(queue) == 1 {
		return nil, "", errors.New("linux-image-cloud-amd64 depends on no kernel")
	}
	return queue[1:], version, nil
}

// kernelDepends picks the packages of one kernel release from a package's record.
func kernelDepends(record string) []string {
	// deb-control(5)
	name := regexp.MustCompile(
		`^linux-(image|base|binary|modules)-[0-9][a-z0-9+.-]*-cloud-amd64$`)
	var picked []string
	for _, dependency := range strings.Split(field(record, "Depends"), ",") {
		first, _, _ := strings.Cut(strings.TrimSpace(dependency), " ")
		if name.MatchString(first) {
			picked = append(picked, first)
		}
	}
	return picked
}

// field is a one-line field of a package's record (deb822(5)).
func field(record, name string) string {
	for line := range strings.Lines(record) {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// unpack downloads packages, compares them with the signed index, and unpacks them into root.
func (a *apt) unpack(ctx context.Context, packages []string, root string) error {
	if _, err := a.run(ctx, "apt-get", append([]string{"download", "-q"},
		packages...)...); err != nil {
		return err
	}
	files, err := filepath.Glob(a.path("packages/*.deb"))
	if err != nil {
		return err
	}
	if err := verifyPackages(files, a.index, packages); err != nil {
		return err
	}
	for _, file := range files {
		cmd := exec.CommandContext(ctx, "dpkg-deb", "--extract", file, root)
		if _, err := output(cmd, "dpkg-deb --extract "+filepath.Base(file)); err != nil {
			return err
		}
	}
	return nil
}
