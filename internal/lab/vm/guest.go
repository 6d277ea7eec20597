//go:build linux

package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	launch "github.com/maxconn/maxconn/internal/linux/role"
)

// Main turns the process into the init of a machine when a kernel started it as such, and then
// does not return. It must be the first thing that main or TestMain calls in every
// program that calls Run; in all other processes it does nothing.
func Main() {
	secret, named := strings.CutPrefix(os.Getenv(roleEnv), roleInit+":")
	if os.Getpid() != 1 || !named || launch.Secure() || !booted(secret) {
		return
	}
	os.Unsetenv(roleEnv)
	serve()
	syscall.Sync()
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART) // qemu runs with -no-reboot and ends
	select {}
}

// booted says whether a kernel has just started this process as the first of a machine that Run has
// made: nobody has mounted /proc yet, as the maker of a container has, and the job in the
// initramfs knows the secret of the kernel's command line.
func booted(secret string) bool {
	if _, err := os.Lstat("/proc/self"); err == nil || secret == "" {
		return false
	}
	text, err := os.ReadFile(jobPath)
	var j job
	return err == nil && json.Unmarshal(text, &j) == nil && j.Secret == secret
}

// Inside says whether the running kernel is that of a machine which Run has started: what the
// program does to it harms nobody.
func Inside() bool {
	text, err := os.ReadFile("/proc/cmdline")
	return err == nil && slices.ContainsFunc(strings.Fields(string(text)),
		func(word string) bool {
			return strings.HasPrefix(word, roleEnv+"="+roleInit)
		})
}

// serve is the life of a machine. What goes wrong before there is a port is said on the console.
func serve() {
	j, p, err := prepare()
	if p == nil {
		fmt.Fprintf(os.Stderr, "vm: init: %v\n", err)
		return
	}
	end := exit{Code: -1}
	if err == nil {
		end.Code, err = j.run(p)
	}
	err = errors.Join(err, j.unmount())
	if err != nil {
		end.Error = err.Error()
	}
	p.say(frameLog, kernelLog())
	text, err := json.Marshal(end)
	if err == nil {
		p.say(frameExit, text)
	}
	// The host turns the machine off when it has read the last frame. A restart now could
	// come before qemu has passed it on.
	time.Sleep(lastWait)
}

// lastWait bounds how long a machine waits to be turned off.
const lastWait = 30 * time.Second

// say sends, or complains on the console: there is nobody else to tell.
func (p *port) say(kind byte, body []byte) {
	if err := p.send(kind, body); err != nil {
		fmt.Fprintf(os.Stderr, "vm: init: %v\n", err)
	}
}

// prepare makes what a command may expect of a running Linux. The port comes as early as
// its driver, so that later errors reach the host.
func prepare() (j job, p *port, err error) {
	text, err := os.ReadFile(jobPath)
	if err != nil {
		return j, nil, err
	}
	if err := json.Unmarshal(text, &j); err != nil {
		return j, nil, fmt.Errorf("%s: %w", jobPath, err)
	}
	if err := mountKernel(); err != nil {
		return j, nil, err
	}
	loadErr := j.loadModules()
	p, err = openPort()
	if err := errors.Join(loadErr, err); err != nil {
		return j, p, err
	}
	if err := j.mountDisk(); err != nil {
		return j, p, err
	}
	return j, p, errors.Join(loopbackUp(), syscall.Sethostname([]byte("vm")))
}

func (j job) loadModules() error {
	for _, m := range j.Modules {
		image, err := os.ReadFile(m.File)
		if err != nil {
			return err
		}
		if err := initModule(image, m.Params); err != nil && err != syscall.EEXIST {
			return fmt.Errorf("load module %s: %w", m.Name, err)
		}
	}
	return os.RemoveAll(modulePath)
}

// await tries until something is there that a driver makes on its own time.
func await(what string, is func() bool) error {
	for range 2000 {
		if is() {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("%s did not appear", what)
}

// openPort finds the port by its name (drivers/char/virtio_console.c, attribute name).
func openPort() (*port, error) {
	var device string
	err := await("the port to the host", func() bool {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, n := range names {
			text, err := os.ReadFile(n)
			if err == nil && strings.TrimSpace(string(text)) == portName {
				device = "/dev/" + filepath.Base(filepath.Dir(n))
			}
		}
		_, err := os.Stat(device)
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	// The command must not inherit it: Go opens with O_CLOEXEC.
	f, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return &port{to: f}, nil
}

func release() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

// kernelLog is the whole ring buffer: also what is below the console's level, such as "Possible
// SYN flooding". Reading it takes nothing away (syslog(2)).
func kernelLog() []byte {
	const readAll, sizeBuffer = 3, 10
	size, err := syscall.Klogctl(sizeBuffer, nil)
	if err != nil {
		return []byte(err.Error())
	}
	text := make([]byte, size)
	n, err := syscall.Klogctl(readAll, text)
	if err != nil {
		return []byte(err.Error())
	}
	return text[:n]
}
