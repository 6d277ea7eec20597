package lint

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
)

// form is how a line sets something, and so when it acts and what reads it.
type form uint8

const (
	// key = value of a sysctl.d file: at boot, or when sysctl -p reads it
	asConf      form = iota
	asWrite          // sysctl -w, echo > /proc/sys: now, until the next boot
	asLimits         // a line of limits.conf
	asUlimit         // ulimit, prlimit
	asUnit           // LimitNOFILE= and the like
	asContainer      // ulimits of a compose file
	asQueue          // txqueuelen of a device
	asModule         // modprobe nf_conntrack
	asOption         // options nf_conntrack hashsize=
	asStray          // looks like a setting and is none
	asProgram        // what a program asks of the kernel, or bounds itself
	// -key without a value: patterns, and for systemd-sysctl earlier lines, leave the
	// key alone
	asExclude
)

// formNames are how a setting is written, for --explain-parse.
var formNames = map[form]string{asConf: "assignment", asWrite: "command",
	asLimits: "limits.conf line",
	asUlimit: "command", asUnit: "unit setting", asContainer: "limit of a container",
	asQueue: "command", asModule: "module", asOption: "module option", asStray: "no setting",
	asProgram: "program setting", asExclude: "exclusion"}

func (f form) String() string { return formNames[f] }

// setting is one thing that a line sets.
type setting struct {
	file int // index of the file
	row  int
	form form
	// canonical; for other forms the item: "nofile", "LimitNOFILE", "txqueuelen"
	key     string
	value   string
	block   string // of a program's file, in which the last line of a name counts
	subject string // domain of limits.conf with its type, device, process
	// the command that carries it to another host or a container: "ssh", "docker"
	where string
	world world // where it acts
	// the file that the line writes the setting into, "" where it stands in its own
	target   string
	optional bool   // "-" in front: failing is not reported
	oneWay   string // ">": only raises, "<": only lowers (profiles of TuneD)
	item     *item  // of a program
	made     bool   // the value is an expression, and not known here
	alias    bool   // it stands elsewhere as well, from where it is repeated
	flaw     *Note  // why the line does nothing, whatever it sets
	glob     string // the pattern that stands in the line, where key is one of its matches
	silent   bool   // one match of many: the line is reported once
	// of a line that is reported once: how many names about connections its pattern
	// matches
	matches int
	// again is the row of a later line with the same pattern, 0 for none, and againSame
	// says that it has the same value.
	again     int
	againSame bool
}

// stray is a line that looks like a setting and is none.
func stray(key, value string, why Note) setting {
	return setting{form: asStray, key: key, value: value, flaw: &why}
}

// rows are the lines of a text, with LF or CRLF at their ends, which are taken off one
// after the other.
type rows struct {
	rest string
	n    int // of the line taken last, from 1
}

// bom is the mark of UTF-8 that editors on Windows put in front.
const bom = "\xef\xbb\xbf"

// rowsOf begins at the first line. A mark of UTF-8 in front is taken off; marked says that
// there was one.
func rowsOf(text []byte) (r *rows, marked bool) {
	s, marked := strings.CutPrefix(string(text), bom)
	return &rows{rest: s}, marked
}

func (r *rows) more() bool { return r.rest != "" }

// next takes a line, without its end.
func (r *rows) next() string {
	var line string
	line, r.rest, _ = strings.Cut(r.rest, "\n")
	r.n++
	return strings.TrimSuffix(line, "\r")
}

// notText says whether the file is none that sysctl or a shell could read: it has NUL bytes.
func notText(text []byte) bool { return bytes.IndexByte(text, 0) >= 0 }

// blank is the white space around names and values.
const blank = " \t\v\f\r"

func trim(s string) string { return strings.Trim(s, blank) }

// role is how lines are read.
type role uint8

const (
	anyRole       role = iota // an answer, notes: every form is looked for
	shellRole                 // a script: any command may be one that sets something
	sysctlRole                // sysctl.d, sysctl.conf: assignments only
	limitsRole                // limits.conf, limits.d
	unitRole                  // systemd units, drop-ins, system.conf
	moduleRole                // modprobe.d, modules-load.d
	rcLocalRole               // /etc/rc.local
	tunedRole                 // profiles of TuneD
	cronRole                  // crontabs
	superviseRole             // supervisord.conf
	upstartRole               // jobs of upstart
	makeRole                  // makefiles
	procfileRole              // Procfile
)

func oneOfRoles(r role, all ...role) bool { return slices.Contains(all, r) }

// directories are those of sysctl.d, by precedence: where a file of the same name is in
// several, the first is read (sysctl.d(5), sysctl(8) --system; measured with systemd 252
// and procps 4.0.2).
var directories = []string{"etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d",
	"usr/lib/sysctl.d", "lib/sysctl.d"}

// numbered is a name as files of sysctl.d have it.
var numbered = regexp.MustCompile(`^[0-9]{1,3}-[^/]*\.conf$`)

// place is where a file is in the order of a boot.
type place struct {
	root string // what stands before etc/ or usr/: files of one root are read together
	base string // the name that decides the order
	rank int    // of its directory
	last bool   // sysctl.conf: procps reads it after all others
}

// placeOf says where the file is in the order of a boot, and whether it is read at boot at
// all. A file that is called as those of sysctl.d are (10-x.conf) is taken for one of them,
// together with others in its directory.
func placeOf(name string) (place, bool) {
	clean := path.Clean(strings.ReplaceAll(name, "\\", "/"))
	dir, base := path.Split(clean)
	dir = strings.TrimSuffix(dir, "/")
	for rank, d := range directories {
		if root, ok := strings.CutSuffix("/"+dir, "/"+d); ok &&
			strings.HasSuffix(base, ".conf") {
			return place{root: root + "/", base: base, rank: rank}, true
		}
	}
	switch {
	case base == "sysctl.conf":
		root := strings.TrimSuffix("/"+dir, "/etc")
		return place{root: root + "/", base: "99-sysctl.conf", last: true}, true
	case path.Base(dir) == "sysctl.d" && strings.HasSuffix(base, ".conf"):
		return place{root: dir + "//", base: base}, true
	case numbered.MatchString(base):
		return place{root: dir + "//", base: base}, true
	}
	return place{}, false
}
