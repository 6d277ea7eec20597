package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/maxconn/maxconn/internal/infile"
	"github.com/maxconn/maxconn/internal/lint"
)

const tuningHint = "lint takes files, directories, or - for the standard input"

// lintFiles reads the files to judge: those given, or those of the system.
func (a *app) lintFiles(ctx context.Context, f *lintFlags, args []string) ([]lint.File, error) {
	a.frugal()
	if len(args) == 0 {
		return a.systemFiles(ctx, f.root)
	}
	var files []lint.File
	for _, name := range args {
		names, err := filesBelow(name)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			file, err := a.tuning(ctx, n)
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
		return []string{name}, nil // an unreadable file is reported when it is read
	}
	names, err := filepath.Glob(filepath.Join(name, "*.conf"))
	if err != nil || len(names) == 0 {
		return nil, misuse("give the files by name",
			"read %s: a directory without *.conf files", name)
	}
	return names, nil
}

// tuning reads one file, or the standard input.
func (a *app) tuning(ctx context.Context, name string) (lint.File, error) {
	if name == "-" {
		text, err := infile.Stream(ctx, a.stdin, largestTuning)
		return lint.File{Name: "stdin", Text: text}, tuningError("standard input", err)
	}
	text, mode, err := infile.Text(ctx, name, largestTuning)
	return lint.File{Name: name, Text: text, Mode: modeOf(mode)}, tuningError(name, err)
}

// tuningError is that of a file that lint could not read. One that others have closed to
// this user is no misuse.
func tuningError(name string, err error) error {
	err = inputError(name, err, tuningHint)
	if f, ok := err.(*failure); ok && isPermission(f.err) {
		f.status = statusFailed
	}
	return err
}

func modeOf(mode fs.FileMode) lint.Mode {
	switch {
	case !mode.IsRegular():
		return lint.ModeUnknown
	case mode&0o111 != 0:
		return lint.Executable
	}
	return lint.NotExecutable
}
