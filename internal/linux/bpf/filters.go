//go:build linux

package bpf

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// ErrUnsupported is the error where the kernel has no such programs (before Linux 4.10, or without
// CONFIG_CGROUP_BPF).
var ErrUnsupported = errors.New("this kernel has no programs of cgroups")

// Hook is where a program decides, and what is refused there.
type Hook struct {
	Name   string
	attach ebpf.AttachType
}

// hooks are those of a cgroup at which a TCP connection can be refused
// (include/uapi/linux/bpf.h enum bpf_attach_type). sock_create came with Linux 4.10, bind4 and
// connect4 and their like with 4.17; older kernels answer EINVAL.
var hooks = []Hook{
	{"sock_create", ebpf.AttachCGroupInetSockCreate},
	{"bind4", ebpf.AttachCGroupInet4Bind}, {"bind6", ebpf.AttachCGroupInet6Bind},
	{"post_bind4", ebpf.AttachCGroupInet4PostBind},
	{"post_bind6", ebpf.AttachCGroupInet6PostBind},
	{"connect4", ebpf.AttachCGroupInet4Connect}, {"connect6", ebpf.AttachCGroupInet6Connect},
	{"ingress", ebpf.AttachCGroupInetIngress}, {"egress", ebpf.AttachCGroupInetEgress},
}

// effective asks for the programs of a cgroup and of all above that apply in it
// (include/uapi/linux/bpf.h BPF_F_QUERY_EFFECTIVE).
const effective = 1

// Filter is a program that applies in a cgroup.
type Filter struct {
	Hook string // "connect4"
	ID   uint32 // no other program of the boot has had it
}

// Effective lists the programs that apply to the processes of a cgroup of version 2, by its
// directory: its own, and those of cgroups above.
func Effective(dir string) ([]Filter, error) { return query(dir, effective) }

// Attached lists the programs that are attached to the cgroup itself.
func Attached(dir string) ([]Filter, error) { return query(dir, 0) }

func query(dir string, flags uint32) (found []Filter, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	known := false
	for _, h := range hooks {
		r, err := link.QueryPrograms(link.QueryOptions{Target: int(f.Fd()),
			Attach: h.attach, QueryFlags: flags})
		switch {
		case errors.Is(err, os.ErrPermission):
			return nil, err
		case err != nil:
			continue // not of this kernel
		}
		known = true
		for _, p := range r.Programs {
			found = append(found, Filter{h.Name, uint32(p.ID)})
		}
	}
	if !known {
		return nil, ErrUnsupported
	}
	return found, nil
}

// Program is what is known of a program.
type Program struct {
	ID      uint32
	Name    string // as its author named it, of any bytes that C allows; "" where not told
	Decides Decision
}

// Decision is what a program's instructions can return.
type Decision string

const (
	RefusesAll  Decision = "all"    // nothing but a refusal
	RefusesNone Decision = "none"   // nothing but leave
	MayRefuse   Decision = "maybe"  // for nobody outside to say
	Unread      Decision = "unread" // the instructions are not for this user
)

// Lookup reads a program by its number.
func Lookup(id uint32) (Program, error) {
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return Program{}, err
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return Program{}, fmt.Errorf("read program %d: %w", id, err)
	}
	out := Program{ID: id, Name: info.Name}
	out.Decides = Unread
	if all, err := info.Instructions(); err == nil {
		out.Decides = decision(all)
	}
	return out, nil
}

// decision is what a program can return, by the lowest bit (kernel/bpf/cgroup.c
// bpf_prog_run_array_cg). Register 0, which is what exit returns and which the verifier wants
// written on every way there, tells where nothing but moves of constants writes it: what may write
// it otherwise may return anything.
func decision(all asm.Instructions) Decision {
	var odd, even bool
	for _, ins := range all {
		op := ins.OpCode
		switch class := op.Class(); {
		case ins.IsFunctionCall(), ins.IsBuiltinCall(),
			class.IsJump() && op.JumpOp() == asm.Call:
			return MayRefuse
		case class.IsJump():
		case class.IsStore():
			if op.Mode() == asm.AtomicMode {
				return MayRefuse
			}
		case op == 0, ins.Dst != asm.R0 && !isPacketLoad(op):
		case class.IsALU() && op.ALUOp() == asm.Mov && op.Source() == asm.ImmSource &&
			ins.Offset == 0:
			odd, even = odd || ins.Constant&1 == 1, even || ins.Constant&1 == 0
		default:
			return MayRefuse
		}
	}
	switch {
	case even && !odd:
		return RefusesAll
	case odd && !even:
		return RefusesNone
	}
	return MayRefuse
}

// isPacketLoad is a load of a packet's bytes, which goes to register 0 whatever it names.
func isPacketLoad(op asm.OpCode) bool {
	return op.Mode() == asm.AbsMode || op.Mode() == asm.IndMode
}

// mostPrograms bounds how many programs of a host are looked at.
const mostPrograms = 4096

// LSM lists the programs of the kind "lsm": each hangs on a hook of the security modules and may
// refuse what passes there (Linux 5.7).
func LSM() (found []Program, err error) {
	id := ebpf.ProgramID(0)
	for range mostPrograms {
		if id, err = ebpf.ProgramGetNextID(id); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return found, nil
			}
			return nil, err
		}
		if p, ok := ofLSM(id); ok {
			found = append(found, p)
		}
	}
	return found, fmt.Errorf("more than %d programs", mostPrograms)
}

func ofLSM(id ebpf.ProgramID) (Program, bool) {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return Program{}, false // gone meanwhile
	}
	defer p.Close()
	if p.Type() != ebpf.LSM {
		return Program{}, false
	}
	info, err := p.Info()
	if err != nil {
		return Program{}, false
	}
	return Program{ID: uint32(id), Name: info.Name}, true
}
