package sysctld

import (
	"bytes"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
)

// Program is who reads the files. The zero value is systemd-sysctl.
type Program uint8

const (
	Systemd Program = iota // systemd-sysctl.service
	Procps                 // sysctl --system
	Tuned                  // the TuneD daemon, after it has applied its profile
)

// String names the program as its users know it.
func (p Program) String() string {
	switch p {
	case Procps:
		return "sysctl --system"
	case Tuned:
		return "tuned"
	}
	return "systemd-sysctl"
}

// Setting is what one line says.
type Setting struct {
	File string // as the program opens it: "/etc/sysctl.d/99-sysctl.conf"
	Line int    // from 1
	Key  string // see Key; may be a glob
	// Value is without the white space around it; it may be empty.
	Value string
	// Exclude says that the line is "-key" without a value: globs leave the key alone.
	Exclude bool
	// Lenient says that the line is "-key = value": failure to write it is no error.
	Lenient bool
}

// Parse reads one file as the program does. Lines that the program skips are left out:
// blank ones, comments, what is no assignment, keys that cannot be.
func Parse(p Program, file string, data []byte) []Setting {
	var out []Setting
	number := 0
	for len(data) > 0 {
		var line []byte
		line, data = cutLine(p, data)
		number++
		if s, ok := parseLine(p, line); ok {
			s.File, s.Line = file, number
			out = append(out, s)
		}
	}
	return out
}

// cutLine takes a line off the front, and what ends it.
func cutLine(p Program, data []byte) (line, rest []byte) {
	ends := "\n"
	switch p {
	case Systemd:
		ends = "\n\r\x00"
	case Tuned:
		ends = "\n\r"
	}
	i := bytes.IndexAny(data, ends)
	if i < 0 {
		return data, nil
	}
	return data[:i], data[i+endLength(p, data[i:]):]
}

// endLength is how many bytes end a line. For procps that is \n; for TuneD, being Python,
// \n, \r or \r\n; for systemd a row of different ones of \n and \r, and perhaps \0 behind
// them (src/basic/fileio.c read_line_full).
func endLength(p Program, data []byte) int {
	switch {
	case p == Procps:
		return 1
	case p == Tuned && bytes.HasPrefix(data, []byte("\r\n")):
		return 2
	case p == Tuned:
		return 1
	}
	n := 1
	for ; n < len(data) && data[n-1] != 0; n++ {
		c := data[n]
		if (c != '\n' && c != '\r' && c != 0) || bytes.IndexByte(data[:n], c) >= 0 {
			break
		}
	}
	return n
}

// parseLine reads a line without its end.
func parseLine(p Program, line []byte) (Setting, bool) {
	if i := bytes.IndexByte(line, 0); i >= 0 && p == Procps {
		line = line[:i] // a C string
	}
	text := strip(p, string(line))
	if text == "" || text[0] == '#' || text[0] == ';' {
		return Setting{}, false
	}
	key, value, assigns := strings.Cut(text, "=")
	s := Setting{Value: strip(p, value)}
	if rest, dash := strings.CutPrefix(key, "-"); dash && p != Tuned {
		key, s.Lenient, s.Exclude = rest, assigns, !assigns
	} else if !assigns {
		return Setting{}, false
	}
	s.Key = parseKey(p, key)
	return s, s.Key != ""
}

// parseKey gives the key, or "" where the program would look for a file that cannot be.
func parseKey(p Program, written string) string {
	if p == Procps { // setting_new: a blank behind the dash stays, a second dash goes
		written = strings.TrimPrefix(strings.TrimRight(written, space(p)), "-")
	} else {
		written = strip(p, written)
	}
	if written == "" || strings.ContainsRune("- \t\v\f", rune(written[0])) {
		return ""
	}
	if p == Tuned { // _get_sysctl_path: every dot is a slash
		return knob.KeyAt(strings.ReplaceAll(written, ".", "/"))
	}
	return knob.Key(written)
}

func strip(p Program, s string) string { return strings.Trim(s, space(p)) }

// space is what the program takes for white space: systemd's WHITESPACE, C's and Python's isspace.
func space(p Program) string {
	if p == Systemd {
		return " \t\n\r"
	}
	return " \t\n\r\v\f"
}
