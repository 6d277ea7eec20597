package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/maxconn/maxconn/internal/lint"
)

// largestTuning is far above any file that a person wrote.
const largestTuning = 16 << 20

// lintFiles reads the files to judge: those given, or those of the system.
func (a *app) lintFiles(f *lintFlags, args []string) ([]lint.File, error) {
	if len(args) == 0 {
		return systemFiles(f.root)
	}
	var files []lint.File
	for _, name := range args {
		names, err := filesBelow(name)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			file, err := a.tuning(n)
			if err != nil {
				return nil, err
			}
			files = append(files, file)
		}
	}
	return files, nil
}

// filesBelow is the file itself, or the *.conf files of a directory.
func filesBelow(name string) ([]string, error) {
	info, err := os.Stat(name)
	if name == "-" || err != nil || !info.IsDir() {
		return []string{name}, nil // what cannot be read is told of when it is
	}
	names, err := filepath.Glob(filepath.Join(name, "*.conf"))
	if err != nil || len(names) == 0 {
		return nil, misuse("give the files by name", "read %s: a directory without *.conf files", name)
	}
	return names, nil
}

// tuning reads one file, or the standard input.
func (a *app) tuning(name string) (lint.File, error) {
	if name == "-" {
		text, err := limited(a.stdin, "standard input")
		return lint.File{Name: "stdin", Text: text}, err
	}
	f, err := os.Open(name)
	if err != nil {
		return lint.File{}, tuningError(name, err)
	}
	defer f.Close()
	text, err := limited(f, name)
	return lint.File{Name: name, Text: text, Mode: modeOf(name)}, err
}

func limited(in io.Reader, name string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, largestTuning+1))
	switch {
	case err != nil:
		return nil, tuningError(name, err)
	case len(text) > largestTuning:
		return nil, misuse("lint takes sysctl.d files, limits.conf, unit files, scripts and notes", "read %s: more than %d MiB, not a tuning file", name, largestTuning>>20)
	}
	return text, nil
}

func tuningError(name string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	f := &failure{statusUsage, fmt.Errorf("read %s: %w", name, err), "lint takes files, directories, or - for the standard input"}
	if errors.Is(err, fs.ErrPermission) {
		f.status, f.hint = statusFailed, "run as a user who may read it"
	}
	return f
}

func modeOf(name string) lint.Mode {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return lint.ModeUnknown
	case info.Mode()&0o111 != 0:
		return lint.Executable
	}
	return lint.NotExecutable
}

// systemPlaces are where settings are read from at boot and at a login, below the root.
var systemPlaces = []string{
	"etc/sysctl.conf", "etc/sysctl.d/*.conf", "run/sysctl.d/*.conf", "usr/local/lib/sysctl.d/*.conf", "usr/lib/sysctl.d/*.conf", "lib/sysctl.d/*.conf",
	"etc/security/limits.conf", "etc/security/limits.d/*.conf", "etc/rc.local",
}

// systemFiles reads the files of a whole system. One that is reached in two ways (/lib is a link to /usr/lib, 99-sysctl.conf one to sysctl.conf)
// is read once; the second name of sysctl.conf says when systemd reads it.
func systemFiles(root string) ([]lint.File, error) {
	if root == "" {
		root = "/"
	}
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return nil, misuse("--root takes the directory that a system's files are in", "--root %s: not a directory", root)
	}
	var files []lint.File
	seen := map[string]string{}
	for _, place := range systemPlaces {
		names, err := filepath.Glob(filepath.Join(root, place))
		if err != nil {
			return nil, err
		}
		slices.Sort(names)
		for _, name := range names {
			file, err := systemFile(name, seen)
			if err != nil {
				return nil, err
			}
			if file.Name != "" {
				files = append(files, file)
			}
		}
	}
	return files, nil
}

// systemFile reads one, unless it is another name of one that was read: then it has no name, or for sysctl.conf no text.
func systemFile(name string, seen map[string]string) (lint.File, error) {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return lint.File{}, nil // a link to nothing is not read by anybody
	}
	if before, ok := seen[real]; ok && real != os.DevNull {
		if filepath.Base(before) == "sysctl.conf" {
			return lint.File{Name: name, Same: before}, nil
		}
		return lint.File{}, nil
	}
	seen[real] = name
	if info, err := os.Stat(real); err == nil && info.IsDir() {
		return lint.File{}, nil
	}
	text, err := os.ReadFile(real)
	if err != nil {
		return lint.File{}, tuningError(name, err)
	}
	return lint.File{Name: name, Text: text, Mode: modeOf(name)}, nil
}
