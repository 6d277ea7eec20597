package sysctld

import (
	"cmp"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// The directories and files that are read, without the leading slash.
var (
	directories = []string{"etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d",
		"usr/lib/sysctl.d", "lib/sysctl.d"}
	// credentials are where systemd-sysctl.service finds its credential, in this order
	// (systemd.exec(5) LoadCredential=).
	credentials = []string{
		"run/credentials/@system/sysctl.extra", "etc/credstore/sysctl.extra",
		"run/credstore/sysctl.extra",
		"usr/local/lib/credstore/sysctl.extra", "usr/lib/credstore/sysctl.extra",
	}
)

const conf = "etc/sysctl.conf"

// File is one file that the programs look at.
type File struct {
	Path string // "/etc/sysctl.d/99-sysctl.conf"
	// Target is where a link leads, "" for a file that is none: "/etc/sysctl.conf".
	Target string
	Data   []byte
	// Unread is why the content is not known, or "". A file that leads nowhere is known
	// to be empty.
	Unread string
}

// Tree is what there is to read under one root directory. The zero value is a host without
// such files.
type Tree struct {
	// every directory in the order above, by name in each; then sysctl.conf and the
	// credential
	Files []File
	// Unread are directories that could not be listed: path and reason.
	Unread []string
}

// Read takes in all that the programs may read. What it may not read is in the result, as a reason.
func Read(root fs.FS) Tree {
	var t Tree
	for _, dir := range directories {
		names, why := list(root, dir)
		if why != "" {
			t.Unread = append(t.Unread, "/"+dir+": "+why)
		}
		for _, name := range names {
			f, _ := readFile(root, path.Join(dir, name))
			t.Files = append(t.Files, f)
		}
	}
	if f, ok := readFile(root, conf); ok {
		t.Files = append(t.Files, f)
	}
	for _, name := range credentials {
		if f, ok := readFile(root, name); ok {
			t.Files = append(t.Files, f)
			break
		}
	}
	return t
}

// With is a copy in which a file holds something else, or is there at all. The path is absolute.
func (t Tree) With(file string, data []byte) Tree {
	c := Tree{Unread: t.Unread}
	for _, f := range t.Files {
		if f.Path != file {
			c.Files = append(c.Files, f)
		}
	}
	c.Files = append(c.Files, File{Path: file, Data: data})
	return c
}

// Order lists the files that a program reads, in its order.
func (t Tree) Order(p Program) []File {
	var out []File
	for _, dir := range p.directories() {
		for _, f := range t.Files {
			if path.Dir(f.Path) == "/"+dir && !p.passesOver(f) &&
				!slices.ContainsFunc(out, sameName(f)) {
				out = append(out, f)
			}
		}
	}
	slices.SortFunc(out, func(a, b File) int {
		return cmp.Compare(path.Base(a.Path), path.Base(b.Path))
	})
	for _, f := range t.Files {
		if p.readsLast(strings.TrimPrefix(f.Path, "/")) {
			out = append(out, f)
		}
	}
	return out
}

func sameName(f File) func(File) bool {
	return func(g File) bool { return path.Base(f.Path) == path.Base(g.Path) }
}

// passesOver: systemd takes no notice of hidden files (src/basic/dirent-util.h
// FOREACH_DIRENT), the others do.
func (p Program) passesOver(f File) bool {
	return p == Systemd && strings.HasPrefix(path.Base(f.Path), ".")
}

func (p Program) directories() []string {
	if p == Tuned {
		return []string{"run/sysctl.d", "etc/sysctl.d"}
	}
	return directories
}

// readsLast says whether the file comes behind those of the directories.
func (p Program) readsLast(file string) bool {
	if p == Systemd {
		return slices.Contains(credentials, file)
	}
	return file == conf
}

// Settings are all lines that a program reads, in its order.
func (t Tree) Settings(p Program) []Setting {
	var out []Setting
	for _, f := range t.Order(p) {
		out = append(out, Parse(p, f.Path, f.Data)...)
	}
	return out
}
