//go:build linux

package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
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
