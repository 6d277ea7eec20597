//go:build linux

package vm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// keyring is Debian's, of the package debian-archive-keyring. No other key is believed, whatever
// apt's settings on this host say.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// indexName is the index of packages, as a Release file calls it.
const indexName = "main/binary-amd64/Packages"

// checkTools says what is missing for a fetch, before anything is loaded.
func checkTools(keys string) error {
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb", "gpgv"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: install %s: %w", ErrUnavailable, tool, err)
		}
	}
	if _, err := os.Stat(keys); err != nil {
		return fmt.Errorf(
			"%w: Debian's keys are not here (package debian-archive-keyring): %w",
			ErrUnavailable, err)
	}
	return nil
}

// signedText gives what one of Debian's keys has signed in an InRelease file. A signature of a key
// that the keyring lacks counts for nothing, as in apt; a bad one fails.
func signedText(ctx context.Context, file, keys string) (string, error) {
	dir, err := os.MkdirTemp(filepath.Dir(file), "gpgv-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "signed")
	cmd := exec.CommandContext(ctx, "gpgv", "--homedir", dir, "--keyring", keys,
		"--status-fd", "1", "--output", out, file)
	var said bytes.Buffer
	cmd.Stderr = &said
	status, runErr := cmd.Output()
	if errors.Is(runErr, exec.ErrNotFound) {
		return "", fmt.Errorf("%w: install gpgv: %w", ErrUnavailable, runErr)
	}
	if !goodSignature(string(status)) {
		return "", fmt.Errorf("%s has no good signature of Debian: %s", filepath.Base(file),
			strings.Join(strings.Fields(said.String()), " "))
	}
	text, err := os.ReadFile(out)
	return string(text), err
}

// goodSignature reads gpgv's status lines (GnuPG, doc/DETAILS): GOODSIG is a valid signature of a
// key that has not expired; BADSIG is a text that was changed.
func goodSignature(status string) bool {
	good := false
	for line := range strings.Lines(status) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "[GNUPG:]" {
			continue
		}
		switch words[1] {
		case "GOODSIG":
			good = true
		case "BADSIG":
			return false
		}
	}
	return good
}

// indexHash is the SHA-256 of the package index in a Release file, which must be of the suite.
func indexHash(release, suite string) (string, error) {
	if name := field(release, "Codename"); name != suite {
		return "", fmt.Errorf("the signed Release file is of %q, not of %s", name, suite)
	}
	inside := false
	for line := range strings.Lines(release) {
		if !strings.HasPrefix(line, " ") {
			inside = strings.TrimSpace(line) == "SHA256:"
			continue
		}
		words := strings.Fields(line)
		if inside && len(words) == 3 && words[2] == indexName {
			return words[0], nil
		}
	}
	return "", fmt.Errorf("the signed Release file of %s has no %s", suite, indexName)
}

// verifiedIndex is the package index that apt has loaded, compared with the hash that Debian
// signed.
func (a *apt) verifiedIndex(ctx context.Context, suite, keys string) ([]byte, error) {
	lists := a.path("state/lists")
	release, err := one(filepath.Join(lists, "*_dists_"+suite+"_InRelease"))
	if err != nil {
		return nil, fmt.Errorf("find the signed Release file: %w", err)
	}
	text, err := signedText(ctx, release, keys)
	if err != nil {
		return nil, err
	}
	want, err := indexHash(text, suite)
	if err != nil {
		return nil, err
	}
	name, err := one(filepath.Join(lists, "*_dists_"+suite+"_main_binary-amd64_Packages"))
	if err != nil {
		return nil, fmt.Errorf("find the index of packages: %w", err)
	}
	index, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if have := hexHash(index); have != want {
		return nil, fmt.Errorf("the index of packages has SHA-256 %s, Debian signed %s",
			have, want)
	}
	return index, nil
}

// packageHashes are the SHA-256 of all versions of some packages in an index.
func packageHashes(index []byte, names []string) map[string]string {
	found := map[string]string{}
	for record := range bytes.SplitSeq(index, []byte("\n\n")) {
		line, _, _ := bytes.Cut(record, []byte("\n"))
		name, ok := bytes.CutPrefix(line, []byte("Package: "))
		if ok && slices.Contains(names, string(name)) {
			found[field(string(record), "SHA256")] = string(name)
		}
	}
	delete(found, "")
	return found
}

// verifyPackages compares package files with the index. Each of the names must be there.
func verifyPackages(files []string, index []byte, names []string) error {
	signed := packageHashes(index, names)
	var seen []string
	for _, file := range files {
		hash, err := fileHash(file)
		if err != nil {
			return err
		}
		name, ok := signed[hash]
		if !ok {
			return fmt.Errorf(
				"%s has SHA-256 %s, which Debian's signed index does not have",
				filepath.Base(file), hash)
		}
		seen = append(seen, name)
	}
	for _, name := range names {
		if !slices.Contains(seen, name) {
			return fmt.Errorf("package %s was not loaded", name)
		}
	}
	return nil
}

func hexHash(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func fileHash(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
