//go:build linux

package vm

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
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

// job is what the machine's init does, as JSON in the initramfs.
type job struct {
	Secret  string       `json:"secret"` // what the kernel's command line says, too
	Argv    []string     `json:"argv"`
	Env     []string     `json:"env"`
	Modules []moduleFile `json:"modules"` // in this order
	Disk    bool         `json:"disk"`
}

type moduleFile struct {
	Name   string `json:"name"`
	Params string `json:"params"`
	File   string `json:"file"`
}

// Places in the machine.
const (
	initPath   = "/init" // the kernel's default (init/main.c ramdisk_execute_command)
	jobPath    = "/vm/job.json"
	modulePath = "/vm/modules"
	diskMount  = "/vm/disk"
	diskDevice = "/dev/vda"
	portName   = "maxconn" // of the virtio port that carries frames
)

// persistent are the directories that a Disk keeps.
func persistent() []string { return []string{"etc", "var"} }

// roleEnv makes the first process of a machine its init. The kernel turns parameters that it does
// not know into the environment of init (init/main.c unknown_bootoption). The value is init and a
// secret, which the job in the initramfs has as well.
const (
	roleEnv  = "MAXCONN_VM_ROLE"
	roleInit = "init"
)

// What the machine says goes through one virtio port as frames: a byte for the kind, the length
// as 4 bytes (big-endian), the body. A power cut may end the stream anywhere.
type frame struct {
	kind byte
	body []byte
}

const (
	frameReady  = 'r' // JSON ready: the command is about to start
	frameStdout = 'o'
	frameStderr = 'e'
	frameLog    = 'l' // the kernel's log, whole, after the command ended
	frameExit   = 'x' // JSON exit; the last one
)

// ready is said once init has prepared everything.
type ready struct {
	Release string `json:"release"`
}

// exit is how the command ended, or why it could not be started.
type exit struct {
	Code  int    `json:"code"`
	Error string `json:"error"`
}

// maxFrame bounds what a reader allocates.
const maxFrame = 1 << 20

var errFrame = errors.New("vm: not a frame")

// readFrame gives the next frame; io.EOF at the end of the stream and
// io.ErrUnexpectedEOF inside a frame.
func readFrame(from io.Reader) (frame, error) {
	var head [5]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return frame{}, fmt.Errorf("%w: length %d", errFrame, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(from, body); err != nil {
		return frame{}, io.ErrUnexpectedEOF
	}
	return frame{head[0], body}, nil
}

// port is the sending end. It is safe for concurrent use.
type port struct {
	mu sync.Mutex
	to io.Writer
}

// send writes one kind of frames, as many as the body needs.
func (p *port) send(kind byte, body []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for first := true; first || len(body) > 0; first = false {
		n := min(len(body), maxFrame)
		head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(n))
		if _, err := p.to.Write(append(head, body[:n]...)); err != nil {
			return fmt.Errorf("send to the host: %w", err)
		}
		body = body[n:]
	}
	return nil
}

// stream is a writer of one kind of frames.
type stream struct {
	port *port
	kind byte
}

func (s stream) Write(b []byte) (int, error) {
	if err := s.port.send(s.kind, b); err != nil {
		return 0, err
	}
	return len(b), nil
}
