//go:build linux

package vm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Spec says what to run in which machine.
type Spec struct {
	Kernel Kernel
	// Binary is the program to run, a path on this host; "" is the running program itself. Its
	// libraries go along; a static one makes the smallest machine.
	Binary string
	Args   []string // without the program's name; its standard input is empty
	Env    []string // "KEY=value"; otherwise PATH, HOME and TMPDIR only
	// Files are further files: absolute path inside -> content. ELF objects and scripts
	// are executable. See Program. All of them and twice the programs must fit into
	// half of the memory.
	Files map[string][]byte
	// Modules are loaded besides tcp_diag, veth and nf_conntrack, with what they depend
	// on. Parameters follow the name: "nf_conntrack enable_hooks=1" tracks without any
	// rule (Linux 5.7).
	Modules []string
	Memory  int           // MiB; 0 means 512
	Disk    *Disk         // nil: nothing lasts
	Timeout time.Duration // of everything, booting too; 0 means 2 minutes
	// Stdout and Stderr get what the command prints as it comes, besides Output. One
	// goroutine writes to both; a Write that blocks holds up Run, also its end.
	Stdout, Stderr io.Writer

	secret string // tells the init of this machine that it is in it
}

// Output is what came of a Run.
type Output struct {
	Stdout, Stderr []byte // the first 64 MiB of each
	// exit status; 128+n after signal n; -1 when the command did not end
	Code int
	// of the running kernel, as it says itself; "" when it did not get that far
	Release string
	// the kernel's log (dmesg --raw), or its console when the machine ended early
	Log  []byte
	Boot time.Duration // from the start of qemu to the start of the command
	Took time.Duration // all of Run
}

const (
	defaultMemory  = 512 // MiB
	defaultTimeout = 2 * time.Minute
	maxOutput      = 64 << 20
)

// ErrStopped says that the machine ended before the command did: a kernel panic, or a
// command that turned it off.
var ErrStopped = errors.New("vm: the machine stopped before the command ended")

// Run boots a machine, runs one command in it with full privileges, and turns it off. An
// exit status other than 0 is no error. At the end of ctx, or of the time, the power is cut
// and the error is ctx's; then, as after ErrStopped, Output has what was said until then.
// Several Runs may go on at once.
func Run(ctx context.Context, spec Spec) (Output, error) {
	began := time.Now()
	if spec.Timeout == 0 {
		spec.Timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, spec.Timeout)
	defer cancel()
	out, err := run(ctx, spec)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("vm: %s: %w", spec.Kernel.Release, ctx.Err())
	}
	out.Took = time.Since(began)
	return out, err
}

func run(ctx context.Context, spec Spec) (Output, error) {
	none := Output{Code: -1}
	if strings.HasPrefix(os.Getenv(roleEnv), roleInit) {
		return none, errors.New("vm: main must call vm.Main first")
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	qemu, err := findQemu()
	if err != nil {
		return none, err
	}
	spec.secret = rand.Text()
	m, err := newMachine(ctx, qemu, spec)
	if err != nil {
		return none, err
	}
	defer m.close()
	if err := m.start(); err != nil {
		return none, err
	}
	stop := context.AfterFunc(ctx, m.kill)
	defer stop()
	return m.follow(spec)
}

// findQemu gives the path of qemu.
func findQemu() (string, error) {
	if runtime.GOARCH != "amd64" {
		return "", fmt.Errorf("%w: this program is for %s, the kernels are for amd64",
			ErrUnavailable, runtime.GOARCH)
	}
	path, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return "", fmt.Errorf("%w: install qemu (Debian: qemu-system-x86): %w",
			ErrUnavailable, err)
	}
	return path, nil
}
