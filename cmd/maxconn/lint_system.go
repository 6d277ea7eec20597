package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

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
		found, err := t.entries(place)
		if err != nil {
			files = append(files, t.unread(filepath.Dir(place), err))
		}
		for _, entry := range found {
			file := t.file(ctx, entry)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if file.Name != "" {
				files = append(files, file)
			}
		}
	}
	return files, nil
}

// entries are the names that a place stands for, sorted; a directory that is not there has none.
func (t *tree) entries(place string) (found []string, err error) {
	dir, pattern := path.Split(place)
	real, err := sysctld.Resolve(t.root.FS(), path.Clean(dir))
	if err != nil {
		return nil, unlessAbsent(err)
	}
	entries, err := fs.ReadDir(t.root.FS(), real)
	if err != nil {
		return nil, unlessAbsent(err)
	}
	for _, e := range entries {
		if ok, _ := path.Match(pattern, e.Name()); ok {
			found = append(found, path.Join(path.Clean(dir), e.Name()))
		}
	}
	slices.Sort(found)
	return found, nil
}

// unlessAbsent is an error that hides something: what is not there, or leads nowhere, nobody reads.
func unlessAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) ||
		errors.Is(err, sysctld.ErrLinks) {
		return nil
	}
	return err
}

// file reads one, unless it is another name of one that was read: then it has no name, or
// for sysctl.conf no text. One that cannot be read says so.
func (t *tree) file(ctx context.Context, entry string) lint.File {
	shown := filepath.Join(t.name, entry)
	real, err := sysctld.Resolve(t.root.FS(), entry)
	if err != nil && unlessAbsent(err) == nil {
		t.skip(shown, err)
		return lint.File{}
	}
	if err != nil {
		return t.unread(entry, err)
	}
	if real == "dev/null" {
		return lint.File{Name: shown} // the usual way to mask a file
	}
	if before, ok := t.seen[real]; ok {
		if filepath.Base(before) == "sysctl.conf" {
			return lint.File{Name: shown, Same: before}
		}
		return lint.File{}
	}
	t.seen[real] = shown
	text, mode, err := infile.In(ctx, t.root, real, largestTuning)
	switch {
	case err == nil:
		return lint.File{Name: shown, Text: text, Mode: modeOf(mode)}
	case unlessAbsent(err) == nil && t.name == "/":
		return lint.File{} // a link to nothing is not read by anybody
	case unlessAbsent(err) == nil:
		t.skip(shown, err)
		return lint.File{}
	}
	return t.unread(entry, err)
}

// unread is a file, or a directory, of which is not known what it sets.
func (t *tree) unread(entry string, err error) lint.File {
	return lint.File{Name: filepath.Join(t.name, entry), Unread: withoutPath(err)}
}

// skip says on the standard error why a file that nobody reads was left out.
func (t *tree) skip(shown string, err error) {
	why := withoutPath(err)
	if errors.Is(err, fs.ErrNotExist) {
		why = "it is a link to what is not below " + t.name
	}
	printf(t.app.stderr, "maxconn: skipped %s: %s\n", shown, why)
}

// withoutPath is the reason alone.
func withoutPath(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

func isPermission(err error) bool { return errors.Is(err, fs.ErrPermission) }
