//go:build linux

package vm

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Disk is a file that holds a machine's /etc and /var (ext4), so that they are there again
// after a reboot: the next Run with the same Disk. One machine at a time can use it.
type Disk struct {
	Path string
}

// diskSize is enough for settings and journals. The file is sparse.
const diskSize = 64 << 20

// NewDisk makes an empty disk, a sparse file of 64 MiB that must not exist yet. The caller
// removes it.
func NewDisk(ctx context.Context, path string) (*Disk, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("vm: make a disk: %w", err)
	}
	err = errors.Join(f.Truncate(diskSize), f.Close())
	if err == nil {
		err = format(ctx, path)
	}
	if err != nil {
		os.Remove(path)
		return nil, fmt.Errorf("vm: make a disk: %w", err)
	}
	return &Disk{path}, nil
}

// format names every feature, because newer mke2fs switches on some that Linux 5.10 cannot write
// (orphan_file: 5.15).
func format(ctx context.Context, path string) error {
	const features = "none,has_journal,ext_attr,dir_index,filetype,extent,sparse_super,large_file,huge_file,extra_isize"
	tool := sbin("mke2fs")
	cmd := exec.CommandContext(ctx, tool, "-q", "-F", "-t", "ext4", "-O", features, path)
	_, err := output(cmd, "mke2fs")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: mke2fs is not installed (package e2fsprogs)", ErrUnavailable)
	}
	return err
}

// sbin finds administrators' programs that are not in an ordinary user's PATH.
func sbin(name string) string {
	for _, path := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	return "/usr/sbin/" + name
}

// drive is qemu's description. A comma in a value is written twice (qemu(1)). Flushes need
// not reach the host's disk: a power cut is the end of qemu, not of the host.
func (d *Disk) drive() string {
	return "if=none,id=disk,format=raw,cache=unsafe,file=" + strings.ReplaceAll(d.Path, ",",
		",,")
}

// Program gives a program of this host as files for a machine (Spec.Files): the program at its own
// path and, when it is dynamically linked, the loader and the libraries that it would
// load here.
func Program(ctx context.Context, path string) (map[string][]byte, error) {
	path, err := exec.LookPath(path)
	if err != nil {
		return nil, fmt.Errorf("vm: program: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("vm: program: %w", err)
	}
	files, err := libraries(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("vm: program %s: %w", path, err)
	}
	files[path], err = os.ReadFile(path)
	return files, err
}

// libraries are what a program needs beside itself; a static one needs nothing.
func libraries(ctx context.Context, program string) (map[string][]byte, error) {
	loader, err := interpreter(program)
	if err != nil || loader == "" {
		return map[string][]byte{}, err
	}
	// What ldd(1) does: the loader lists and does not run the program.
	cmd := exec.CommandContext(ctx, loader, "--list", program)
	list, err := output(cmd, loader+" --list")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, path := range append(loaded(list), loader) {
		if files[path], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// interpreter is the dynamic loader that an ELF program names (elf(5), PT_INTERP), "" if none.
func interpreter(program string) (string, error) {
	object, err := elf.Open(program)
	if notELF := new(elf.FormatError); errors.As(err, &notELF) || err == io.EOF {
		return "", errors.New("is not an ELF program")
	}
	if err != nil {
		return "", err
	}
	defer object.Close()
	if object.Machine != elf.EM_X86_64 {
		return "", fmt.Errorf("is for %v, the machine is an x86-64", object.Machine)
	}
	for _, p := range object.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		name, err := io.ReadAll(io.LimitReader(p.Open(), 4096))
		if err != nil {
			return "", errors.Join(errors.New("read its loader's name"), err)
		}
		return strings.TrimRight(string(name), "\x00"), nil
	}
	return "", nil
}

// loaded picks the paths, sorted, from lines such as "libc.so.6 => /lib/libc.so.6 (0x7f...)".
func loaded(list string) []string {
	var paths []string
	for _, word := range strings.Fields(list) {
		if strings.HasPrefix(word, "/") {
			paths = append(paths, word)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// ErrUnasked says that nobody asked for machines, or that a kernel would have to be fetched, which
// nobody allowed.
var ErrUnasked = errors.New(
	"vm: machines are asked for with MAXCONN_VM=1 (kernels that are in the cache), " +
		"MAXCONN_VM_FETCH=1 or MAXCONN_REQUIRE=vm (fetched where need be)")

// Required says whether the want of a machine is a failure: MAXCONN_REQUIRE names vm.
func Required(env func(string) string) bool {
	return slices.Contains(strings.Split(env("MAXCONN_REQUIRE"), ","), "vm")
}

// Asked gives the kernel of a series to those who boot machines only where the user's
// environment asks for it: tests. Otherwise the error is ErrUnasked, or ErrUnavailable
// where this host cannot run any.
func Asked(ctx context.Context, env func(string) string, series string) (Kernel, error) {
	fetch := Required(env) || env("MAXCONN_VM_FETCH") == "1"
	if !fetch && env("MAXCONN_VM") == "" {
		return Kernel{}, ErrUnasked
	}
	if _, err := findQemu(); err != nil {
		return Kernel{}, err
	}
	if fetch {
		return Fetch(ctx, series)
	}
	kernels, err := Kernels()
	if err != nil {
		return Kernel{}, err
	}
	i := slices.IndexFunc(kernels, func(k Kernel) bool { return k.Series == series })
	if i < 0 {
		return Kernel{}, fmt.Errorf("%w: kernel %s is not in the cache", ErrUnasked, series)
	}
	return kernels[i], nil
}
