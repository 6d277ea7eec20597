//go:build linux

package bpf

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

//go:embed src/*.o
var objects embed.FS

// Outcome is what became of a program that was to be loaded.
type Outcome string

const (
	Works     Outcome = "works"
	Absent    Outcome = "absent"    // this kernel does not have what the program needs
	Forbidden Outcome = "forbidden" // it may have, and this process may not use it
)

// Error is why a program does not work here.
type Error struct {
	Program string // "owners"
	Outcome Outcome
	Lacks   string // what is absent, or what forbids it
	Err     error  // what the kernel said; nil where it was not asked
}

// Error says what is missing, in one line.
func (e *Error) Error() string {
	text := fmt.Sprintf("eBPF program %s: %s: %s", e.Program, e.Outcome, e.Lacks)
	if e.Err != nil {
		first, _, _ := strings.Cut(e.Err.Error(), "\n")
		text += ": " + first
	}
	return text
}

// Unwrap gives the error of the kernel or of the library.
func (e *Error) Unwrap() error { return e.Err }

// OutcomeOf is the outcome that an error stands for.
func OutcomeOf(err error) Outcome {
	var e *Error
	switch {
	case err == nil:
		return Works
	case errors.As(err, &e):
		return e.Outcome
	}
	return Absent
}

// Permitted says whether this process has the capabilities to load such programs: CAP_BPF and
// CAP_PERFMON (Linux 5.8), or CAP_SYS_ADMIN, in the initial user namespace (kernel/bpf/syscall.c
// bpf_prog_load, include/linux/capability.h bpf_capable, perfmon_capable). The namespace shows only
// when the kernel is asked.
func Permitted() bool {
	return capable(unix.CAP_SYS_ADMIN) || capable(unix.CAP_BPF) && capable(unix.CAP_PERFMON)
}

const lacksCapabilities = "it takes CAP_BPF and CAP_PERFMON"

// MayTrace says whether this process has CAP_SYS_PTRACE, by which /proc shows the descriptors of
// processes that have no other capability (kernel/ptrace.c __ptrace_may_access).
func MayTrace() bool { return capable(unix.CAP_SYS_PTRACE) }

func capable(c uint) bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&head, &data[0]) == nil && data[c/32].Effective>>(c%32)&1 == 1
}

// kernelTypes are the types of the running kernel: megabytes, parsed once, by the first who loads.
var kernelTypes = sync.OnceValues(func() (*btf.Cache, error) {
	cache := btf.NewCache()
	_, err := cache.Kernel()
	return cache, err
})

// specOf reads an object that is part of this program.
func specOf(name string) (*ebpf.CollectionSpec, error) {
	text, err := objects.ReadFile("src/" + name + ".o")
	if err != nil {
		return nil, err
	}
	return ebpf.LoadCollectionSpecFromReader(bytes.NewReader(text))
}

// load loads an object; shared are maps of another one.
func load(name string, prepare func(*ebpf.CollectionSpec) error,
	shared map[string]*ebpf.Map) (*ebpf.Collection, error) {
	if !Permitted() {
		return nil, &Error{name, Forbidden, lacksCapabilities, nil}
	}
	cache, err := kernelTypes()
	if err != nil {
		return nil, &Error{name, Absent, "types of the kernel (/sys/kernel/btf/vmlinux, " +
			"CONFIG_DEBUG_INFO_BTF)", err}
	}
	spec, err := specOf(name)
	if err == nil && prepare != nil {
		err = prepare(spec)
	}
	var loaded *ebpf.Collection
	if err == nil {
		used := map[string]*ebpf.Map{}
		for m := range spec.Maps {
			if shared[m] != nil {
				used[m] = shared[m]
			}
		}
		loaded, err = ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{
			Programs:        ebpf.ProgramOptions{LogDisabled: true},
			MapReplacements: used, Cache: cache})
	}
	if err != nil {
		return nil, refusal(name, err)
	}
	return loaded, nil
}

// refusal says what an error of loading or attaching means.
func refusal(name string, err error) error {
	var known *Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, unix.EPERM): // EACCES is the verifier's
		return &Error{name, Forbidden, forbiddenBy(), err}
	}
	return &Error{name, Absent, "a hook, a field or a helper that it needs", err}
}

// forbiddenBy names what refuses a process that has the capabilities.
func forbiddenBy() string {
	text, err := os.ReadFile("/sys/kernel/security/lockdown")
	if err == nil && bytes.Contains(text, []byte("[confidentiality]")) {
		return "kernel lockdown (confidentiality)"
	}
	if status, err := os.ReadFile("/proc/self/status"); err == nil &&
		bytes.Contains(status, []byte("\nSeccomp:\t2\n")) {
		return "seccomp, a security module, or the user namespace"
	}
	return "a security module, or the user namespace"
}
