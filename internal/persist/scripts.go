package persist

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/knob"
)

// script is a file whose lines may set a sysctl when something runs it.
type script struct {
	program, file, why string
	lines              []string // those that are no comments keep their place
}

// At most that many scripts are looked at.
const maxScripts = 512

// scripts are the places where sysctls are set by hand.
func scripts(root fs.FS) (out []script) {
	for _, place := range []struct{ dir, suffix, program, why string }{
		{"etc/systemd/system", ".service", "a systemd unit",
			"names it, and may set it when the unit starts"},
		{"etc/cron.d", "", "cron", "names it, and may set it when cron runs the line"},
		{"etc/network/if-up.d", "", "ifupdown",
			"names it, and may set it when an interface comes up"},
		{"etc/network/if-pre-up.d", "", "ifupdown",
			"names it, and may set it when an interface comes up"},
		{"etc/NetworkManager/dispatcher.d", "", "NetworkManager",
			"names it, and may set it when an interface comes up"},
		{"etc/networkd-dispatcher/routable.d", "", "networkd-dispatcher",
			"names it, and may set it when an interface comes up"},
		{"etc/udev/rules.d", ".rules", "udev",
			"names it, and may set it when a device appears"},
		{"etc/modprobe.d", ".conf", "modprobe",
			"names it, and may set it when a module is loaded"},
		{"etc/local.d", ".start", "OpenRC",
			"names it, and may set it at the end of the boot"},
	} {
		for _, name := range names(root, place.dir) {
			if file := place.dir + "/" + name; strings.HasSuffix(name, place.suffix) &&
				len(out) < maxScripts && "/"+file != VerifyUnit {
				out = append(out, script{place.program, file, place.why,
					code(text(root, file))})
			}
		}
	}
	return append(out, rcLocal(root)...)
}

// rcLocal: systemd-rc-local-generator starts it only where it is executable.
func rcLocal(root fs.FS) (out []script) {
	for _, file := range []string{"etc/rc.local", "etc/rc.d/rc.local"} {
		if info, err := fs.Lstat(root, file); err == nil && info.Mode().IsRegular() &&
			info.Mode()&0o111 != 0 {
			out = append(out, script{"rc.local", file,
				"names it, and may set it late in the boot",
				code(text(root, file))})
		}
	}
	return out
}

// code is the lines of a text with comments emptied.
func code(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			line = ""
		}
		lines = append(lines, line)
	}
	return lines
}

// mentions is the last line that names a key, with dots or with slashes, or 0.
func (s script) mentions(key string) (line int) {
	slashed := knob.Path(key)
	for i, l := range s.lines {
		if names := word(l, key) || word(l, slashed); names {
			line = i + 1
		}
	}
	return line
}

// word says whether a line has the name as a whole: net.core.somaxconn is not net.core.somaxconn_x.
func word(line, name string) bool {
	for from := 0; name != ""; {
		i := strings.Index(line[from:], name)
		if i < 0 {
			return false
		}
		i += from
		from = i + len(name)
		before, behind := line[:i], line[from:]
		if !strings.HasSuffix(before, "_") && !endsInLetter(before) &&
			(behind == "" || !encode.Only(behind[:1], "_")) {
			return true
		}
	}
	return false
}

func endsInLetter(s string) bool { return s != "" && encode.Only(s[len(s)-1:], "") }

// witness is a root directory that keeps account of what this user may not read there.
type witness struct {
	root   fs.FS
	denied []string
}

func (w *witness) note(name string, err error) {
	if name = "/" + name; errors.Is(err, fs.ErrPermission) && !slices.Contains(w.denied, name) {
		w.denied = append(w.denied, name)
	}
}

// Open is of fs.FS.
func (w *witness) Open(name string) (fs.File, error) {
	f, err := w.root.Open(name)
	w.note(name, err)
	return f, err
}

// ReadDir is of fs.ReadDirFS.
func (w *witness) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(w.root, name)
	w.note(name, err)
	return entries, err
}

// Lstat is of fs.ReadLinkFS.
func (w *witness) Lstat(name string) (fs.FileInfo, error) {
	info, err := fs.Lstat(w.root, name)
	w.note(name, err)
	return info, err
}

// ReadLink is of fs.ReadLinkFS.
func (w *witness) ReadLink(name string) (string, error) {
	target, err := fs.ReadLink(w.root, name)
	w.note(name, err)
	return target, err
}
