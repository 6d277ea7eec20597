//go:build linux

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Fetch gives the kernel of a series (see Series) from the cache or, when it is not there,
// as Debian's package from the mirror in this host's apt sources, or the one that
// MAXCONN_VM_MIRROR names. The chain from a key of Debian to the package is verified here:
// gpgv with Debian's keyring over the Release file, its hash of the index, the index's hash
// of the package. Nothing outside the cache is changed: apt works on a directory of its
// own. Some 30 MB for the package and 25 MB for its index are loaded. To fetch a series
// anew remove its directory. One that is there without recorded hashes is fetched anew.
func Fetch(ctx context.Context, series string) (Kernel, error) {
	suites := suitesOf(series)
	if suites == nil {
		return Kernel{}, fmt.Errorf("vm: no kernel series %q: there are %s", series,
			strings.Join(Series(), ", "))
	}
	kernels, err := Kernels()
	if err != nil {
		return Kernel{}, err
	}
	for _, k := range kernels {
		if k.Series == series && k.Sums != "" {
			return k, nil
		}
	}
	var errs []error
	for _, suite := range suites {
		k, err := fetchFrom(ctx, series, suite)
		if err == nil || ctx.Err() != nil {
			return k, err
		}
		errs = append(errs, err)
	}
	return Kernel{}, errors.Join(errs...)
}

// fetchFrom prepares everything in a directory beside the place where it will be.
func fetchFrom(ctx context.Context, series, suite string) (Kernel, error) {
	cache, err := cacheDir()
	if err != nil {
		return Kernel{}, err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return Kernel{}, fmt.Errorf("vm: fetch %s: %w", series, err)
	}
	sweep(cache)
	work, err := os.MkdirTemp(cache, workPrefix)
	if err != nil {
		return Kernel{}, fmt.Errorf("vm: fetch %s: %w", series, err)
	}
	defer os.RemoveAll(work)
	k, err := unpack(ctx, work, suite)
	if err != nil {
		return Kernel{}, fmt.Errorf("vm: fetch %s from %s: %w", series, suite, err)
	}
	if !belongs(k.Release, series) {
		return Kernel{}, fmt.Errorf("vm: fetch %s from %s: it has %s", series, suite,
			k.Release)
	}
	k.Series = series
	return k.settle(filepath.Join(work, "kernel"), cache)
}

const workPrefix = ".fetch-"

// sweep removes what fetches left that were killed: they take minutes, not hours.
func sweep(cache string) {
	left, _ := filepath.Glob(filepath.Join(cache, workPrefix+"*"))
	for _, dir := range left {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > time.Hour {
			os.RemoveAll(dir)
		}
	}
}

// unpack leaves vmlinuz and modules in work/kernel.
func unpack(ctx context.Context, work, suite string) (Kernel, error) {
	a, err := newApt(ctx, filepath.Join(work, "apt"), suite)
	if err != nil {
		return Kernel{}, err
	}
	packages, version, err := a.kernelPackages(ctx)
	if err != nil {
		return Kernel{}, err
	}
	root := filepath.Join(work, "root")
	if err := a.unpack(ctx, packages, root); err != nil {
		return Kernel{}, err
	}
	release, err := gather(root, filepath.Join(work, "kernel"))
	return Kernel{Release: release, Version: version}, err
}

// gather moves what a machine needs out of unpacked packages. Debian 14 puts the image
// beside the modules, and modules under /usr since Debian 13.
func gather(root, to string) (release string, err error) {
	modules, err := one(filepath.Join(root, "usr/lib/modules/*/kernel"),
		filepath.Join(root, "lib/modules/*/kernel"))
	if err != nil {
		return "", err
	}
	modules = filepath.Dir(modules)
	if _, err := os.Stat(filepath.Join(modules, "modules.builtin")); err != nil {
		return "", err
	}
	image, err := one(filepath.Join(root, "boot/vmlinuz-*"), filepath.Join(modules, "vmlinuz"))
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(image, filepath.Join(to, "vmlinuz")); err != nil {
		return "", err
	}
	return filepath.Base(modules), os.Rename(modules, filepath.Join(to, "modules"))
}

func one(patterns ...string) (string, error) {
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err == nil && len(found) == 1 {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("the package has none of %q, or several", patterns)
}

// settle puts a kernel into the cache. Who comes second uses what the first left. One without
// recorded hashes makes room.
func (k Kernel) settle(from, cache string) (Kernel, error) {
	if err := k.write(from); err != nil {
		return Kernel{}, fmt.Errorf("vm: store %s: %w", k.Release, err)
	}
	home := filepath.Join(cache, k.Release)
	if old, err := readKernel(home); err == nil && old.Sums == "" {
		if err := os.Rename(home, filepath.Join(filepath.Dir(from), "old")); err != nil {
			return Kernel{}, fmt.Errorf("vm: make room for %s: %w", k.Release, err)
		}
	}
	if err := os.Rename(from, home); err != nil && !errors.Is(err, fs.ErrExist) {
		return Kernel{}, fmt.Errorf("vm: store %s: %w", k.Release, err)
	}
	return readKernel(home)
}

// bounded keeps the first bytes that are written to it and drops the rest. It is safe for
// concurrent use.
type bounded struct {
	limit int
	mu    sync.Mutex
	text  bytes.Buffer
}

func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(p[:min(len(p), max(b.limit-b.text.Len(), 0))])
	return len(p), nil
}

func (b *bounded) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.text.Bytes())
}

// tee writes to both; more may be nil.
func tee(to, more io.Writer) io.Writer {
	if more == nil {
		return to
	}
	return io.MultiWriter(to, more)
}
