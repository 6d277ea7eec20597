//go:build linux

package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"unsafe"
)

// run runs the command to its end and gives its exit status. When it ends, every other process
// of the machine is killed: nothing holds the disk, or the pipes that are read here.
func (j job) run(p *port) (int, error) {
	hello, err := json.Marshal(ready{release()})
	if err != nil {
		return -1, err
	}
	if err := p.send(frameReady, hello); err != nil {
		return -1, err
	}
	var copied sync.WaitGroup
	stdout, err := p.pipe(frameStdout, &copied)
	if err != nil {
		return -1, err
	}
	stderr, err := p.pipe(frameStderr, &copied)
	if err != nil {
		return -1, err
	}
	cmd := exec.Command(j.Argv[0], j.Argv[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = stdout, stderr, "/root"
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		"TMPDIR=/tmp"}, j.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := limitFiles(); err != nil {
		return -1, err
	}
	err = cmd.Start()
	stdout.Close()
	stderr.Close()
	if err != nil {
		return -1, fmt.Errorf("start %s: %w", j.Argv[0], err)
	}
	code := reap(cmd.Process.Pid)
	syscall.Kill(-1, syscall.SIGKILL) // all but process 1 (kill(2))
	reap(-1)
	copied.Wait()
	return code, nil
}

// limitFiles gives the command the descriptor limits that systemd gives services since
// version 240; the kernel's own hard limit is 4096 (include/uapi/linux/fs.h INR_OPEN_MAX).
// A limit set this way is inherited (syscall.Setrlimit).
func limitFiles() error {
	return os.NewSyscallError("setrlimit",
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 1024, Max: 524288}))
}

// pipe is a command's standard file: what is written comes out as frames.
func (p *port) pipe(kind byte, copied *sync.WaitGroup) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	copied.Go(func() {
		defer r.Close()
		if _, err := io.Copy(stream{p, kind}, r); err != nil {
			p.say(frameStderr, []byte(err.Error()))
		}
	})
	return w, nil
}

// reap waits, as process 1 must, for whatever ends, until it is this process (-1: until
// there are none) and gives its status as a shell does: 128+n after signal n.
func reap(until int) int {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil: // ECHILD
			return -1
		case pid == until && status.Signaled():
			return 128 + int(status.Signal())
		case pid == until:
			return status.ExitStatus()
		}
	}
}

// initModule is init_module(2).
func initModule(image []byte, params string) error {
	text, err := syscall.BytePtrFromString(params)
	if err != nil {
		return err
	}
	_, _, errno := syscall.Syscall(syscall.SYS_INIT_MODULE,
		uintptr(unsafe.Pointer(unsafe.SliceData(image))),
		uintptr(len(image)), uintptr(unsafe.Pointer(text)))
	if errno != 0 {
		return errno
	}
	return nil
}

// ifreqFlags is struct ifreq as SIOCSIFFLAGS reads it (netdevice(7)).
type ifreqFlags struct {
	name  [syscall.IFNAMSIZ]byte
	flags uint16
	_     [22]byte
}

// loopbackUp is the one setting that a machine starts with; all others are the kernel's own.
func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer syscall.Close(fd)
	request := ifreqFlags{flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	copy(request.name[:], "lo")
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS,
		uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return fmt.Errorf("set lo up: %w", errno)
	}
	return nil
}

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
