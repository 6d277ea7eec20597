package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/maxconn/maxconn/internal/infile"
	"github.com/maxconn/maxconn/internal/lint"
	"github.com/maxconn/maxconn/internal/sysctld"
)

// systemPlaces are where settings are read from at boot and at a login, below the root.
var systemPlaces = []string{
	"etc/sysctl.conf", "etc/sysctl.d/*.conf", "run/sysctl.d/*.conf",
	"usr/local/lib/sysctl.d/*.conf", "usr/lib/sysctl.d/*.conf", "lib/sysctl.d/*.conf",
	"etc/security/limits.conf", "etc/security/limits.d/*.conf", "etc/rc.local",
}

// tree is the files of a system below a directory, which may come from anybody: nothing
// outside of it is read. Links mean what they would mean if the directory were the root, as
// they do at its boot: an absolute one begins there, and ".." ends there.
type tree struct {
	app  *app
	root *os.Root
	name string            // as the user wrote it
	seen map[string]string // the file that was read -> the name by which
}

// systemFiles reads the files of a whole system. One that is reached in two ways (/lib is a
// link to /usr/lib, 99-sysctl.conf one to sysctl.conf) is read once; the second name of
// sysctl.conf says when systemd reads it.
func (a *app) systemFiles(ctx context.Context, name string) (files []lint.File, err error) {
	if name == "" {
		name = "/"
	}
	if info, err := os.Stat(name); err != nil || !info.IsDir() {
		return nil, misuse("--root takes the directory that a system's files are in",
			"--root %s: not a directory", name)
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, tuningError(name, err)
	}
	defer root.Close()
	t := &tree{app: a, root: root, name: name, seen: map[string]string{}}
	for _, place := range systemPlaces {
		for _, entry := range t.entries(place) {
			file, err := t.file(ctx, entry)
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

// entries are the names that a place stands for, sorted; a directory that cannot be listed
// has none.
func (t *tree) entries(place string) (found []string) {
	dir, pattern := path.Split(place)
	real, err := sysctld.Resolve(t.root.FS(), path.Clean(dir))
	if err != nil {
		return nil
	}
	entries, err := fs.ReadDir(t.root.FS(), real)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if ok, _ := path.Match(pattern, e.Name()); ok {
			found = append(found, path.Join(path.Clean(dir), e.Name()))
		}
	}
	slices.Sort(found)
	return found
}

// file reads one, unless it is another name of one that was read: then it has no name, or
// for sysctl.conf no text.
func (t *tree) file(ctx context.Context, entry string) (lint.File, error) {
	shown := filepath.Join(t.name, entry)
	real, err := sysctld.Resolve(t.root.FS(), entry)
	if err != nil {
		t.skip(shown, err)
		return lint.File{}, nil
	}
	if real == "dev/null" {
		return lint.File{Name: shown}, nil // the usual way to mask a file
	}
	if before, ok := t.seen[real]; ok {
		if filepath.Base(before) == "sysctl.conf" {
			return lint.File{Name: shown, Same: before}, nil
		}
		return lint.File{}, nil
	}
	t.seen[real] = shown
	text, mode, err := infile.In(ctx, t.root, real, largestTuning)
	switch {
	case err == nil:
		return lint.File{Name: shown, Text: text, Mode: modeOf(mode)}, nil
	case ctx.Err() != nil || isPermission(err) || isLarge(err):
		return lint.File{}, tuningError(shown, err)
	case errors.Is(err, fs.ErrNotExist) && t.name == "/":
		return lint.File{}, nil // a link to nothing is not read by anybody
	}
	t.skip(shown, err)
	return lint.File{}, nil
}

// skip says on the standard error why a file was not read.
func (t *tree) skip(shown string, err error) {
	why := err.Error()
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		why = p.Err.Error()
	}
	if errors.Is(err, fs.ErrNotExist) {
		why = "it is a link to what is not below " + t.name
	}
	printf(t.app.stderr, "maxconn: skipped %s: %s\n", shown, why)
}

func isLarge(err error) bool { _, ok := errors.AsType[infile.TooLarge](err); return ok }

func isPermission(err error) bool { return errors.Is(err, fs.ErrPermission) }
