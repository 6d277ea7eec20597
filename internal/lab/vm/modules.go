//go:build linux

package vm

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// usualModules are loaded in every machine: what maxconn asks (sock_diag of TCP), what labs are
// made of, and connection tracking. Debian builds them as modules.
func usualModules() []string { return []string{"tcp_diag", "veth", "nf_conntrack"} }

// deviceModules drive the machine's devices. Debian builds virtio_pci and virtio_console
// into the kernel since 6.12.
func deviceModules() []string { return []string{"virtio_pci", "virtio_console", "virtio_blk"} }

// module is a kernel module ready to be loaded.
type module struct {
	name   string
	params string // as modprobe(8) takes them: "enable_hooks=1"
	image  []byte // a plain ELF object
}

// moduleSet knows the modules of one kernel.
type moduleSet struct {
	sums    sums
	files   map[string]string // name, with underscores -> path
	builtin map[string]bool
	order   []module // what was asked for so far, dependencies first
}

func (k Kernel) openModules() (*moduleSet, error) {
	s := &moduleSet{files: map[string]string{}, builtin: map[string]bool{}}
	var err error
	if s.sums, err = k.openSums(); err != nil {
		return nil, err
	}
	dir := k.Modules
	builtin, err := s.sums.read(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return nil, fmt.Errorf("vm: kernel modules: %w", err)
	}
	for _, path := range strings.Fields(string(builtin)) {
		s.builtin[moduleName(path)] = true
	}
	err = filepath.WalkDir(filepath.Join(dir, "kernel"),
		func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.Contains(d.Name(), ".ko") {
				s.files[moduleName(path)] = path
			}
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("vm: kernel modules: %w", err)
	}
	return s, nil
}

// moduleName is how the kernel calls a module's file: nf-x.ko.xz is nf_x.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// add puts a module, after all that it depends on, into the order. asked is its name
// and perhaps parameters: "nf_conntrack enable_hooks=1". One whose name ends in "?" may be absent.
func (s *moduleSet) add(ctx context.Context, asked string) error {
	name, params, _ := strings.Cut(asked, " ")
	name, optional := strings.CutSuffix(moduleName(name), "?")
	if s.builtin[name] || slices.ContainsFunc(s.order, func(m module) bool {
		return m.name == name
	}) {
		return nil
	}
	path, ok := s.files[name]
	switch {
	case !ok && optional:
		return nil
	case !ok:
		return fmt.Errorf("vm: this kernel has no module %s", name)
	}
	image, err := s.readModule(ctx, path)
	if err != nil {
		return fmt.Errorf("vm: module %s: %w", name, err)
	}
	needs, wishes, err := dependencies(image)
	if err != nil {
		return fmt.Errorf("vm: module %s: %w", name, err)
	}
	// A soft dependency may be an alias that nothing provides (modprobe.d(5)).
	for _, w := range wishes {
		if s.files[moduleName(w)] != "" {
			needs = append(needs, w)
		}
	}
	for _, n := range needs {
		if err := s.add(ctx, n); err != nil {
			return err
		}
	}
	s.order = append(s.order, module{name, params, image})
	return nil
}

// dependencies reads the module's .modinfo section.
func dependencies(image []byte) (needs, wishes []string, err error) {
	object, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return nil, nil, err
	}
	section := object.Section(".modinfo")
	if section == nil {
		return nil, nil, errors.New("no section .modinfo")
	}
	info, err := section.Data()
	needs, wishes = parseModinfo(info)
	return needs, wishes, err
}

// parseModinfo picks what must and what should be loaded before. The section has strings
// "key=value", each ended by a zero (include/linux/moduleparam.h __MODULE_INFO;
// scripts/mod/modpost.c add_depends).
func parseModinfo(info []byte) (needs, wishes []string) {
	for _, entry := range strings.Split(string(info), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok && list != "" {
			needs = strings.Split(list, ",")
		}
		if list, ok := strings.CutPrefix(entry, "softdep=pre: "); ok {
			list, _, _ = strings.Cut(list, " post: ")
			wishes = append(wishes, strings.Fields(list)...)
		}
	}
	return needs, wishes
}

// readModule gives the object itself. Debian compresses modules with xz since 6.12; older
// kernels could not load them so (CONFIG_MODULE_DECOMPRESS, 5.17).
func (s *moduleSet) readModule(ctx context.Context, path string) ([]byte, error) {
	packed, err := s.sums.read(path)
	if err != nil {
		return nil, err
	}
	tools := map[string]string{".xz": "xz", ".zst": "zstd", ".gz": "gzip"}
	tool, compressed := tools[filepath.Ext(path)]
	if !compressed {
		return packed, nil
	}
	cmd := exec.CommandContext(ctx, tool, "-dc")
	cmd.Stdin = bytes.NewReader(packed)
	text, err := output(cmd, tool+" -dc")
	return []byte(text), err
}
