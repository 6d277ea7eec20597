//go:build linux

package vm

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Program gives a program of this host as files for a machine (Spec.Files): the program at its own
// path and, when it is dynamically linked, the loader and the libraries that it would
// load here.
func Program(ctx context.Context, path string) (map[string][]byte, error) {
	path, err := exec.LookPath(path)
	if err != nil {
		return nil, fmt.Errorf("vm: program: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("vm: program: %w", err)
	}
	files, err := libraries(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("vm: program %s: %w", path, err)
	}
	files[path], err = os.ReadFile(path)
	return files, err
}

// libraries are what a program needs beside itself; a static one needs nothing.
func libraries(ctx context.Context, program string) (map[string][]byte, error) {
	loader, err := interpreter(program)
	if err != nil || loader == "" {
		return map[string][]byte{}, err
	}
	// What ldd(1) does: the loader lists and does not run the program.
	cmd := exec.CommandContext(ctx, loader, "--list", program)
	list, err := output(cmd, loader+" --list")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, path := range append(loaded(list), loader) {
		if files[path], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// interpreter is the dynamic loader that an ELF program names (elf(5), PT_INTERP), "" if none.
func interpreter(program string) (string, error) {
	object, err := elf.Open(program)
	if notELF := new(elf.FormatError); errors.As(err, &notELF) || err == io.EOF {
		return "", errors.New("is not an ELF program")
	}
	if err != nil {
		return "", err
	}
	defer object.Close()
	if object.Machine != elf.EM_X86_64 {
		return "", fmt.Errorf("is for %v, the machine is an x86-64", object.Machine)
	}
	for _, p := range object.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		name, err := io.ReadAll(io.LimitReader(p.Open(), 4096))
		if err != nil {
			return "", errors.Join(errors.New("read its loader's name"), err)
		}
		return strings.TrimRight(string(name), "\x00"), nil
	}
	return "", nil
}

// loaded picks the paths, sorted, from lines such as "libc.so.6 => /lib/libc.so.6 (0x7f...)".
func loaded(list string) []string {
	var paths []string
	for _, word := range strings.Fields(list) {
		if strings.HasPrefix(word, "/") {
			paths = append(paths, word)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}
