package main

import (
	"context"
	"errors"
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
		names, found, err := filesBelow(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			file, err := a.tuning(ctx, n)
			if err != nil {
				return nil, err
			}
			file.Found = found
			files = append(files, file)
		}
	}
	return files, nil
}

// mostBelow is how many files below a directory are read.
const mostBelow = 10_000

// filesBelow is the file itself, or of a directory all *.conf files and those below it whose
// format lint knows; found says that it is a directory. Links are not followed.
func filesBelow(ctx context.Context, name string) (names []string, found bool, err error) {
	info, err := os.Stat(name)
	if name == "-" || err != nil || !info.IsDir() {
		return []string{name}, false, nil // an unreadable file is reported when it is read
	}
	err = filepath.WalkDir(name, func(at string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || ctx.Err() != nil:
			return errors.Join(err, ctx.Err())
		case d.IsDir() && at != name && isAside(d.Name()):
			return fs.SkipDir
		case !d.Type().IsRegular() && (filepath.Dir(at) != filepath.Clean(name) ||
			filepath.Ext(at) != ".conf"):
			return nil
		case filepath.Ext(at) == ".conf" || lint.Reads(at):
			names = append(names, at)
		}
		if len(names) > mostBelow {
			return errTooManyFiles
		}
		return nil
	})
	switch {
	case errors.Is(err, errTooManyFiles):
		return nil, true, misuse("give the files, or directories with fewer of them",
			"read %s: more than %d files", name, mostBelow)
	case err != nil:
		return nil, true, tuningError(name, err)
	case len(names) == 0:
		return nil, true, misuse("give the files by name",
			"read %s: a directory without files that lint knows by their name", name)
	}
	return names, true, nil
}

var errTooManyFiles = errors.New("too many files")

// isAside says whether a directory holds what is not of the project itself.
func isAside(name string) bool {
	return name == ".git" || name == "node_modules" || name == "vendor"
}

// included reads files that others include: those below the directories that were given, which
// cannot be left.
func included(ctx context.Context, args []string) func(pattern string) []lint.File {
	return func(pattern string) (files []lint.File) {
		for _, dir := range args {
			root, err := os.OpenRoot(dir)
			if err != nil {
				continue // no directory: only the file itself was given
			}
			if below, err := filepath.Rel(dir, pattern); err == nil &&
				filepath.IsLocal(below) {
				files = append(files, matching(ctx, root, dir, below)...)
			}
			_ = root.Close()
		}
		return files
	}
}

func matching(ctx context.Context, root *os.Root, dir, pattern string) (files []lint.File) {
	names, err := fs.Glob(root.FS(), pattern)
	if err != nil || len(names) > mostBelow {
		return nil
	}
	for _, name := range names {
		info, err := root.Stat(name)
		if err != nil || !info.Mode().IsRegular() || ctx.Err() != nil {
			continue
		}
		f, err := root.Open(name)
		if err != nil {
			continue
		}
		text, err := infile.Stream(ctx, f, largestTuning)
		_ = f.Close()
		if err == nil {
			files = append(files, lint.File{Name: filepath.Join(dir, name), Text: text})
		}
	}
	return files
}

// tuning reads one file, or the standard input.
func (a *app) tuning(ctx context.Context, name string) (lint.File, error) {
	if name == "-" {
		text, err := infile.Stream(ctx, a.stdin, largestTuning)
		return lint.File{Name: "stdin", Text: text, Piped: true},
			tuningError("standard input", err)
	}
	text, mode, err := infile.Text(ctx, name, largestTuning)
	f := lint.File{Name: name, Text: text, Mode: modeOf(mode)}
	if f.Mode == lint.NotExecutable && !filepath.IsAbs(name) {
		f.Mode = lint.ModeUnknown // what installs a file of a repository sets its mode
	}
	return f, tuningError(name, err)
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
