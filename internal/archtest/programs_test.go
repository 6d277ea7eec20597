package archtest

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// readers are the helpers that a program may call: they read what the kernel has, or write into
// maps and buffers of the program itself.
var readers = []asm.BuiltinFunc{
	asm.FnMapLookupElem, asm.FnMapUpdateElem, asm.FnMapDeleteElem, asm.FnKtimeGetNs,
	asm.FnGetCurrentComm, asm.FnGetCurrentTask,
	asm.FnGetCurrentCgroupId, asm.FnProbeReadKernel, asm.FnSeqWrite, asm.FnSockFromFile,
}

// The programs that are compiled in only look on: they are of the kinds that nothing in the kernel
// waits for or asks (tracepoints with types, iterators), and call none but the readers.
func TestProgramsOnlyRead(t *testing.T) {
	objects, err := filepath.Glob(filepath.Join(root(t), "internal/linux/bpf/src/*.o"))
	if err != nil || len(objects) == 0 {
		t.Fatalf("%d objects: %v", len(objects), err)
	}
	for _, path := range objects {
		spec, err := ebpf.LoadCollectionSpec(path)
		if err != nil || len(spec.Programs) == 0 {
			t.Fatalf("%s: %d programs: %v", path, len(spec.Programs), err)
		}
		for name, p := range spec.Programs {
			if p.Type != ebpf.Tracing || p.AttachType != ebpf.AttachTraceRawTp &&
				p.AttachType != ebpf.AttachTraceIter {
				t.Errorf("%s: program %s is of type %s, for %s", path, name, p.Type,
					p.AttachType)
			}
			for _, ins := range p.Instructions {
				helper := asm.BuiltinFunc(ins.Constant)
				if ins.IsKfuncCall() ||
					ins.IsBuiltinCall() && !slices.Contains(readers, helper) {
					t.Errorf("%s: program %s calls %s", path, name, helper)
				}
			}
		}
	}
}
