//go:build linux

package vm

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// play is one of the programs that the test binary is inside a machine ("parent": on this host).
func play(name string, args []string) int {
	roles := map[string]func([]string) error{
		"look":   look,
		"faulty": faulty,
		"keep":   keepState,
		"cut":    cutPower,
		"sleep":  sleep,
		"panic":  panicKernel,
		"track":  track,
		"flood":  flood,
		"parent": parent,
	}
	if err := roles[name](args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// sight is what a command sees of its machine.
type sight struct {
	Release, Host   string
	UID, PID, PPID  int
	Args, Env       []string
	Modules, Mounts string
	Descriptors     int    // that lead to the host
	Files           string // of /proc/self/limits
	File            string // /etc/file
}

func look(args []string) error {
	s := sight{
		Release: release(),
		UID:     os.Getuid(),
		PID:     os.Getpid(),
		PPID:    os.Getppid(),
		Args:    args,
		Env:     os.Environ(),
	}
	s.Host, _ = os.Hostname()
	for path, text := range map[string]*string{
		"/proc/modules":     &s.Modules,
		"/proc/mounts":      &s.Mounts,
		"/etc/file":         &s.File,
		"/proc/self/limits": &s.Files,
	} {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		*text = string(b)
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, fd := range fds {
		target, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && strings.HasPrefix(target, "/dev/vport") {
			s.Descriptors++
		}
	}
	// Loopback is up, and an orphan must not keep the machine.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	c.Close()
	orphan := exec.Command("/proc/self/exe")
	orphan.Env = []string{roleVar + "=sleep"}
	orphan.Stdout = os.Stdout
	if err := orphan.Start(); err != nil {
		return err
	}
	fmt.Fprint(os.Stderr, "said on stderr")
	if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
		return err
	}
	os.Exit(7)
	return nil
}

// faulty makes a listener with a backlog of 5 that nobody serves, and runs a command meanwhile.
func faulty(args []string) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: 8080,
		Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if err := syscall.Listen(fd, 5); err != nil {
		return err
	}
	for range 12 {
		client, err := syscall.Socket(syscall.AF_INET,
			syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		if err := syscall.Connect(client,
			&syscall.SockaddrInet4{Port: 8080, Addr: [4]byte{127, 0, 0, 1}}); err !=
			syscall.EINPROGRESS {
			return err
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err = cmd.Run()
	if cmd.ProcessState == nil {
		return err
	}
	os.Exit(cmd.ProcessState.ExitCode())
	return nil
}

// keepState appends to a file in each persistent directory and prints what is there.
func keepState(args []string) error {
	for _, dir := range persistent() {
		path := "/" + dir + "/state"
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
		if err != nil {
			return err
		}
		if _, err := f.WriteString(args[0] + "\n"); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Printf("%s %s\n", dir, strings.Fields(string(text)))
	}
	text, err := os.ReadFile("/etc/given")
	fmt.Printf("given %s\n", text)
	return err
}

// cutPower makes one file last and turns the machine off under everything else.
func cutPower([]string) error {
	f, err := os.Create("/var/synced")
	if err != nil {
		return err
	}
	fmt.Fprint(f, "whole")
	if err := f.Sync(); err != nil {
		return err
	}
	d, err := os.Open("/var")
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return err
	}
	return syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
}

func sleep([]string) error {
	fmt.Println("sleeping")
	time.Sleep(time.Hour)
	return nil
}

func panicKernel([]string) error {
	// Init reads the second line when it has passed on the first.
	for _, line := range []string{"before", "and then"} {
		fmt.Println(line)
		if err := await("init at the other end of the pipe", stdoutIsRead); err != nil {
			return err
		}
	}
	return os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
}

// stdoutIsRead says that nothing is left in the pipe of the standard output (FIONREAD, pipe(7)).
func stdoutIsRead() bool {
	const fionread = 0x541b // include/uapi/asm-generic/ioctls.h
	left := int32(-1)
	_, _, e := syscall.Syscall(syscall.SYS_IOCTL, 1, fionread, uintptr(unsafe.Pointer(&left)))
	return e == 0 && left == 0
}

// track says how many connections conntrack has after one was made.
func track([]string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err != nil {
		return err
	}
	text, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
	fmt.Printf("%s", text)
	return err
}

// flood prints more than all buffers on the way hold.
func flood([]string) error {
	line := strings.Repeat("0123456789abcde", 4369) + "\n" // 64 KiB
	for range floodLines {
		if _, err := os.Stdout.WriteString(line); err != nil {
			return err
		}
	}
	return nil
}

const floodLines = 128

// parent starts a machine, says so, and waits to be killed.
func parent(args []string) error {
	kernels, err := Kernels()
	if err != nil {
		return err
	}
	for _, k := range kernels {
		if k.Release == args[0] {
			spec := role(k, "sleep")
			spec.Stdout = os.Stdout
			_, err = Run(context.Background(), spec)
		}
	}
	return err
}
