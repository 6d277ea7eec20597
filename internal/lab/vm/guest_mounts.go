//go:build linux

package vm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// mountKernel mounts what the kernel offers, where every distribution has it.
func mountKernel() error {
	// The root of an initramfs that is a tmpfs may be written by all: on a real host it
	// is root's alone.
	if err := os.Chmod("/", 0o755); err != nil {
		return err
	}
	for _, m := range []struct{ kind, at, options string }{
		{"devtmpfs", "/dev", ""},
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"cgroup2", "/sys/fs/cgroup", ""},
		{"bpf", "/sys/fs/bpf", ""},
		{"tracefs", "/sys/kernel/tracing", ""},
		{"devpts", "/dev/pts", "ptmxmode=666"},
		{"tmpfs", "/dev/shm", ""},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(m.kind, m.at, m.kind, 0, m.options); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	return nil
}

// mountDisk puts the disk's directories in place of the initramfs's, whose files are copied
// over: what Spec.Files names is there after each boot, all else is as it was left.
func (j job) mountDisk() error {
	if !j.Disk {
		return nil
	}
	if err := await(diskDevice, func() bool {
		_, err := os.Stat(diskDevice)
		return err == nil
	}); err != nil {
		return err
	}
	if err := syscall.Mount(diskDevice, diskMount, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount the disk: %w", err)
	}
	for _, name := range persistent() {
		kept, here := filepath.Join(diskMount, name), "/"+name
		if err := copyTree(here, kept); err != nil {
			return fmt.Errorf("fill %s: %w", kept, err)
		}
		if err := syscall.Mount(kept, here, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s: %w", here, err)
		}
	}
	return nil
}

// unmount leaves a clean disk. A command's own mounts on it may hold it: then it
// becomes read-only, which is as good.
func (j job) unmount() error {
	syscall.Sync()
	if !j.Disk {
		return nil
	}
	if err := syscall.Mount("", diskMount, "", syscall.MS_REMOUNT|syscall.MS_RDONLY,
		""); err != nil {
		return fmt.Errorf("make the disk read-only: %w", err)
	}
	return nil
}

// copyTree copies files and directories; there is nothing else in what Run packs there.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return errors.Join(os.WriteFile(target, text, 0o644),
			os.Chmod(target, info.Mode().Perm()))
	})
}
