//go:build linux

package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A cached kernel has a file with the SHA-256 of each of its files, as sha256sum(1) writes it, and
// its record has that of this file. What is booted is compared with it each time.
const sumsName = "SHA256SUMS"

// writeSums writes the sums of a directory and gives the SHA-256 of that file.
func writeSums(dir string) (string, error) {
	var text strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		hash, err := fileHash(path)
		fmt.Fprintf(&text, "%s  %s\n", hash, rel)
		return err
	})
	if err != nil {
		return "", err
	}
	err = os.WriteFile(filepath.Join(dir, sumsName), []byte(text.String()), 0o644)
	return hexHash([]byte(text.String())), err
}

// sums are the recorded hashes of a kernel's files, by their paths in its directory.
type sums struct {
	kernel Kernel
	hashes map[string]string
}

// errUnverified says that what is in the cache is not what was fetched.
var errUnverified = errors.New("is not as it was fetched: remove its directory to fetch it anew")

// openSums reads the sums of a kernel of the cache. Others must not be able to write there.
func (k Kernel) openSums() (sums, error) {
	dir := filepath.Dir(k.Image)
	if k.Sums == "" {
		return sums{},
			fmt.Errorf("vm: kernel %s: no hashes were recorded: remove %s to fetch "+
				"it anew", k.Release, dir)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := checkOwner(d); err != nil {
			return sums{}, fmt.Errorf("vm: kernel %s: %w", k.Release, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, sumsName))
	if err != nil {
		return sums{}, fmt.Errorf("vm: kernel %s: %w", k.Release, err)
	}
	s := sums{k, map[string]string{}}
	if hexHash(text) != k.Sums {
		return s, s.differs(sumsName)
	}
	for line := range strings.Lines(string(text)) {
		if hash, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  "); ok {
			s.hashes[name] = hash
		}
	}
	return s, nil
}

// checkOwner refuses a directory that another user can write to.
func checkOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) != os.Geteuid() && stat.Uid != 0 || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("the cache %s (mode %v) can be written by others", dir,
			info.Mode().Perm())
	}
	return nil
}

func (s sums) differs(name string) error {
	return fmt.Errorf("vm: kernel %s: %s %w", s.kernel.Release,
		filepath.Join(filepath.Dir(s.kernel.Image), name), errUnverified)
}

// read gives a file of the kernel, which is compared.
func (s sums) read(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return text, s.compare(path, hexHash(text))
}

func (s sums) compare(path, hash string) error {
	rel, err := filepath.Rel(filepath.Dir(s.kernel.Image), path)
	if err != nil {
		return err
	}
	if want := s.hashes[rel]; want == "" || want != hash {
		return s.differs(rel)
	}
	return nil
}

// openImage opens the image to boot: what was compared is what qemu reads.
func (k Kernel) openImage(ctx context.Context) (_ *os.File, err error) {
	s, err := k.openSums()
	if err != nil {
		return nil, err
	}
	text, err := s.read(k.Image)
	if err != nil {
		return nil, err
	}
	f, err := nameless("vmlinuz")
	if err != nil {
		return nil, fmt.Errorf("vm: %w", err)
	}
	if _, err = f.Write(text); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("vm: copy the image: %w", err)
	}
	return f, nil
}

// nameless makes a temporary file without a name, so that nothing is left over whatever happens.
func nameless(what string) (*os.File, error) {
	f, err := os.CreateTemp("", "maxconn-"+what+"-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
