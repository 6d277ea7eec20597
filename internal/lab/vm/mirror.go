//go:build linux

package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

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
