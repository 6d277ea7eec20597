//go:build linux

package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// machine is one qemu process and the files that it shares with this one.
type machine struct {
	cmd     *exec.Cmd
	kernel  *os.File // the image to boot, and
	image   *os.File // the initramfs: both without a name
	frames  pair
	console pair
	said    bounded // by qemu itself
	booted  bounded // the kernel's console
	copied  sync.WaitGroup
	began   time.Time
	once    sync.Once
	ended   chan struct{} // closed when qemu has been waited for; nil before start
}

type pair struct{ r, w *os.File }

// processName is what ps shows.
const processName = "maxconn-vm"

// Descriptors in qemu, as os/exec numbers ExtraFiles.
const (
	framesFD, consoleFD = "/dev/fd/3", "/dev/fd/4"
	imageFD, kernelFD   = "/dev/fd/5", "/dev/fd/6"
)

func newMachine(ctx context.Context, qemu string, spec Spec) (_ *machine, err error) {
	m := &machine{said: bounded{limit: 16 << 10}, booted: bounded{limit: 1 << 20}}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if m.kernel, err = spec.Kernel.openImage(ctx); err != nil {
		return nil, err
	}
	if m.image, err = imageFile(ctx, spec); err != nil {
		return nil, err
	}
	for _, p := range []*pair{&m.frames, &m.console} {
		if p.r, p.w, err = os.Pipe(); err != nil {
			return nil, fmt.Errorf("vm: %w", err)
		}
	}
	m.cmd = &exec.Cmd{
		Path:       qemu,
		Args:       append([]string{processName}, arguments(spec)...),
		Stderr:     &m.said,
		ExtraFiles: []*os.File{m.frames.w, m.console.w, m.image, m.kernel},
		SysProcAttr: &syscall.SysProcAttr{
			Pdeathsig: syscall.SIGKILL,
			// Ctrl-C is for the parent, whose context then ends the machine
			Setpgid: true,
		},
	}
	return m, nil
}

func imageFile(ctx context.Context, spec Spec) (*os.File, error) {
	f, err := nameless("vm")
	if err != nil {
		return nil, fmt.Errorf("vm: make the initramfs: %w", err)
	}
	if err := writeImage(ctx, f, spec); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// arguments of qemu. The machine has what is named here and nothing else: no network. It is
// emulated even where there is a /dev/kvm, which inside another virtual machine may open
// and then not work.
func arguments(spec Spec) []string {
	memory := spec.Memory
	if memory == 0 {
		memory = defaultMemory
	}
	// panic=-1: restart at once, which ends qemu. Emulated, the kernel's defences against
	// speculation cost time and protect nobody.
	kernel := []string{"console=ttyS0", "loglevel=4", "panic=-1", "reboot=t", "nokaslr",
		"mitigations=off", "no_timer_check", roleEnv + "=" + roleInit + ":" + spec.secret}
	// Without cx16 the kernel allocates memory another way (mm/slub.c,
	// system_has_cmpxchg_double). With it qemu 7.2 sometimes leaves stray bits in
	// EFLAGS, and Linux 6.12 dies of a double fault within seconds.
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "q35,accel=tcg", "-cpu", "max,-cx16", "-smp", "1", "-m",
		strconv.Itoa(memory),
		"-kernel", kernelFD, "-initrd", imageFD, "-append", strings.Join(kernel, " "),
		"-chardev", "file,id=console,path=" + consoleFD, "-serial", "chardev:console",
		"-chardev", "file,id=frames,path=" + framesFD, "-device",
		"virtio-serial-pci,max_ports=2",
		"-device", "virtserialport,chardev=frames,name=" + portName,
	}
	if spec.Disk != nil {
		args = append(args, "-drive", spec.Disk.drive(), "-device",
			"virtio-blk-pci,drive=disk")
	}
	return args
}

func (m *machine) start() error {
	m.began = time.Now()
	m.ended = make(chan struct{})
	started := make(chan error)
	go m.keep(started)
	err := <-started
	m.frames.w.Close()
	m.console.w.Close()
	if err != nil {
		return fmt.Errorf("vm: start qemu: %w", err)
	}
	m.copied.Go(func() { io.Copy(&m.booted, m.console.r) })
	return nil
}

// keep starts qemu and waits for it on one thread, which thereby lives as long as qemu: the
// parent-death signal is sent when the thread that started it ends (prctl(2)).
func (m *machine) keep(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(m.ended)
	err := m.cmd.Start()
	started <- err
	if err == nil {
		m.cmd.Wait()
	}
}

// kill cuts the power.
func (m *machine) kill() { m.cmd.Process.Kill() }

// follow reads what the machine says to its end.
func (m *machine) follow(spec Spec) (Output, error) {
	out := Output{Code: -1}
	stdout, stderr := bounded{limit: maxOutput}, bounded{limit: maxOutput}
	sinks := map[byte]io.Writer{frameStdout: tee(&stdout, spec.Stdout),
		frameStderr: tee(&stderr, spec.Stderr)}
	ended, err := m.frameLoop(&out, sinks)
	out.Stdout, out.Stderr = stdout.bytes(), stderr.bytes()
	m.kill()
	<-m.ended
	m.copied.Wait()
	if out.Log == nil {
		out.Log = m.log()
	}
	if err == nil && !ended {
		err = fmt.Errorf("%w: %s: %s", ErrStopped, spec.Kernel.Release, m.lastWords())
	}
	return out, err
}

// frameLoop gives true when the command's end was among the frames.
func (m *machine) frameLoop(out *Output, sinks map[byte]io.Writer) (ended bool, err error) {
	for {
		f, err := readFrame(m.frames.r)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		switch f.kind {
		case frameReady:
			err = m.ready(out, f.body)
		case frameLog:
			out.Log = append(out.Log, f.body...)
		case frameExit:
			return true, out.exited(f.body)
		default:
			err = deliver(sinks[f.kind], f)
		}
		if err != nil {
			return false, err
		}
	}
}

func (m *machine) ready(out *Output, body []byte) error {
	var r ready
	if err := json.Unmarshal(body, &r); err != nil {
		return fmt.Errorf("vm: the machine's greeting: %w", err)
	}
	out.Release, out.Boot = r.Release, time.Since(m.began)
	return nil
}

func (o *Output) exited(body []byte) error {
	var e exit
	if err := json.Unmarshal(body, &e); err != nil {
		return fmt.Errorf("vm: the command's end: %w", err)
	}
	o.Code = e.Code
	if e.Error != "" {
		return errors.New("vm: in the machine: " + e.Error)
	}
	return nil
}

func deliver(to io.Writer, f frame) error {
	if to == nil {
		return fmt.Errorf("%w: kind %q", errFrame, f.kind)
	}
	if _, err := to.Write(f.body); err != nil {
		return fmt.Errorf("vm: pass on the command's output: %w", err)
	}
	return nil
}

// log is the console's text as it was before the serial line turned \n into \r\n.
func (m *machine) log() []byte {
	return bytes.ReplaceAll(m.booted.bytes(), []byte("\r\n"), []byte("\n"))
}

// lastWords explain a machine that stopped: qemu's complaint, the first trouble on the console, and
// the panic if it comes later.
func (m *machine) lastWords() string {
	const enough = 1 << 10
	text := append(m.said.bytes(), m.log()...)
	if len(text) <= enough {
		return string(bytes.TrimSpace(text))
	}
	_, panicked, _ := bytes.Cut(text[enough:], []byte("Kernel panic"))
	line, _, _ := bytes.Cut(panicked, []byte("\n"))
	if len(line) == 0 {
		return string(bytes.TrimSpace(text[:enough]))
	}
	return fmt.Sprintf("%s ... Kernel panic%s", bytes.TrimSpace(text[:enough]), line)
}

// close ends whatever there is of the machine and waits for it.
func (m *machine) close() {
	m.once.Do(func() {
		for _, f := range []*os.File{m.kernel, m.image, m.frames.w, m.console.w} {
			if f != nil {
				f.Close()
			}
		}
		if m.ended != nil {
			if m.cmd.Process != nil {
				m.kill()
			}
			<-m.ended
		}
		for _, f := range []*os.File{m.frames.r, m.console.r} {
			if f != nil {
				f.Close()
			}
		}
	})
}
