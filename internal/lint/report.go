// Package lint says what each line of a tuning file does on a given kernel: sysctl.d files,
// limits.conf, unit files, and the commands of scripts and forum answers. It is pure: files
// go in as bytes, the kernel as a host.Snapshot or a release, and a Report comes out.
//
// The work has three steps. formats.go has a row for each kind of file; what it names reads the
// text: lines (parse*.go), shell with mvdan.cc/sh/v3/syntax (shell*.go), YAML with yaml.v3 and the
// languages of braces (yaml.go, braces*.go), which both become nodes that tree*.go walks, pages
// with goldmark and x/net/html (prose*.go), and the files and command lines of programs
// (programs*.go). include.go follows what files include. Every setting has the row where it stands
// and the world in which it acts (world.go). order.go finds out which of several lines wins;
// rules_*.go hold what is known of each setting, one table a theme, and judge.go applies it.
//
// All functions are safe for concurrent use.
package lint

import (
	"slices"

	"github.com/maxconn/maxconn/internal/host"
)

// Verdict is what a line does.
type Verdict string

const (
	Effective    Verdict = "effective"
	NoEffect     Verdict = "no-effect"
	Harmful      Verdict = "harmful"
	Gone         Verdict = "gone" // not a setting of this kernel any more, or not yet
	BelowDefault Verdict = "below-default"
	OutOfBounds  Verdict = "out-of-bounds"
	Overridden   Verdict = "overridden"
	Duplicate    Verdict = "duplicate"
	UnknownKey   Verdict = "unknown-key"
	UnknownValue Verdict = "unknown-value" // made by a template, a shell or a program
	Unrelated    Verdict = "unrelated"     // not about the number of connections
)

// Verdicts lists all of them, the gravest first: where several hold of a line, the first is
// its verdict and the others are notes.
var Verdicts = []Verdict{Gone, UnknownKey, OutOfBounds, Overridden, Harmful, NoEffect, BelowDefault,
	Duplicate, UnknownValue, Effective, Unrelated}

// Fault says whether a line with this verdict should be looked at.
func (v Verdict) Fault() bool {
	return v != Effective && v != Unrelated && v != UnknownValue
}

// Note is one thing that holds of a line. Source names a file and function of the kernel, a
// commit, or a manual page, with the first version where it matters.
type Note struct {
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why"`
	Source  string  `json:"source"`
}

// Line is what one line does. A line that sets several things has several.
type Line struct {
	File    string  `json:"file"`
	Line    int     `json:"line"`
	Key     string  `json:"key"`
	Value   string  `json:"value"`
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why"`
	Source  string  `json:"source"`
	// Scope is where it acts, "" for the host.
	Scope Scope `json:"scope,omitempty"`
	// Form is how it is written: "sysctl.d line", "command". Into is the file that the line
	// writes it into, where it is another.
	Form string `json:"form"`
	Into string `json:"into,omitempty"`
	// Running is the value now, where the snapshot has it and it is another one.
	Running string `json:"running,omitempty"`
	// Notes are what else holds, gravest first.
	Notes []Note `json:"notes"`
	// TCP says that the setting is of TCP, the network core or connection tracking, or
	// has to do with connections: it is never skipped.
	TCP bool `json:"-"`
}

// Shown says whether a line is reported by default: all of TCP, and of others those that
// set nothing.
func (l Line) Shown() bool {
	return l.TCP ||
		(l.Verdict != Unrelated && l.Verdict != Overridden && l.Verdict != Duplicate)
}

// Report is what all lines do, in the order of the files given.
type Report struct {
	Schema string `json:"schema"`
	// Kernel is the release that was judged for, "" where it is not known.
	Kernel string `json:"kernel"`
	// Cautions hold of the report as a whole.
	Cautions []string `json:"cautions"`
	Files    []string `json:"files"`
	// Unread are the files that could not be read: what they set is not known.
	Unread []Unread `json:"unread,omitempty"`
	// Passed is how many files below the given directories have no setting that was recognised.
	Passed int `json:"files_without_settings,omitempty"`
	// Read is how each file was read.
	Read  []Reading `json:"read"`
	Lines []Line    `json:"lines"`
	// Skipped is how many lines were left out because they are unrelated.
	Skipped int `json:"passed_over"`
}

// Unread is a file, or a directory of files, that could not be read.
type Unread struct {
	File string `json:"file"`
	Why  string `json:"why"`
}

// Reading is how a file was read.
type Reading struct {
	File string `json:"file"`
	// Format is what it was taken for. Supported says that lint reads such files.
	Format    string `json:"format"`
	Supported bool   `json:"supported"`
	Settings  int    `json:"settings"`
	// NotJudged says that no setting was recognised in it, though it is not empty.
	NotJudged bool `json:"not_judged"`
	// IncludedBy is the file that includes it, and IncludedAt the line there.
	IncludedBy string `json:"included_by,omitempty"`
	IncludedAt int    `json:"included_at,omitempty"`
	// Refers is what the file refers to and lint did not read.
	Refers []Reference `json:"refers,omitempty"`
}

// Reference is something that a line refers to.
type Reference struct {
	Line int    `json:"line"`
	What string `json:"what"`
	// Mention is the setting that the line names, where it may set it and was not read.
	Mention string `json:"mention,omitempty"`

	path   string  // of a file, "" where it is none
	format *format // in which it is read
}

// NotJudged are the files in which no setting was recognised.
func (r Report) NotJudged() (files []Reading) {
	for _, f := range r.Read {
		if f.NotJudged {
			files = append(files, f)
		}
	}
	return files
}

// Partial says whether some file was not judged, or not all that it refers to.
func (r Report) Partial() bool {
	return len(r.Read) == 0 && r.Passed > 0 || slices.ContainsFunc(r.Read,
		func(f Reading) bool { return f.NotJudged || len(f.Refers) > 0 })
}

// Whole says that all of all files was read, and every value is known.
func (r Report) Whole() bool {
	return !r.Partial() && r.Count(UnknownValue) == 0 && len(r.Unread) == 0 &&
		r.Passed == 0
}

// Count is how many lines have the verdict.
func (r Report) Count(v Verdict) (n int) {
	for _, l := range r.Lines {
		if l.Verdict == v {
			n++
		}
	}
	return n
}

// Faults is how many lines have one of the verdicts, or where none is given, one that is a fault.
func (r Report) Faults(among ...Verdict) (n int) {
	for _, v := range Verdicts {
		if (len(among) == 0 && v.Fault()) || slices.Contains(among, v) {
			n += r.Count(v)
		}
	}
	return n
}

// Brief is the report without the lines that are skipped unless asked for.
func (r Report) Brief() Report {
	var kept []Line
	for _, l := range r.Lines {
		if l.Shown() {
			kept = append(kept, l)
		}
	}
	r.Skipped = len(r.Lines) - len(kept)
	r.Lines = kept
	return r
}

// File is one file to judge.
type File struct {
	Name string // as it is shown; its directory and extension tell what kind of file it is
	Text []byte
	// Mode is what the file system says of it, 0 where that is not known.
	Mode Mode
	// Found says that nobody named the file: it is below a directory that was given. Where no
	// setting is recognised in it, only the number of such files is reported.
	Found bool
	// Piped says that it is the standard input: where that is empty, what writes it may have
	// failed.
	Piped bool
	// Same names the file that this one is a symbolic link to, "" for none. Its lines
	// are reported once, under Name.
	Same string
	// Unread is why it could not be read, "" where it was.
	Unread string
}

// Mode is what lint needs of a file's mode.
type Mode uint8

const (
	ModeUnknown Mode = iota
	Executable
	NotExecutable
)

// Target is the kernel to judge for.
type Target struct {
	// Snapshot is what was observed of the host; it may be empty.
	Snapshot host.Snapshot
	// Kernel is a release such as "4.9" that is judged for with nothing else known; ""
	// takes the snapshot's.
	Kernel string
	// Has says whether the running kernel has a setting of this name, for names that
	// are not known here (those of modules and of a vendor's kernel). nil where that
	// cannot be asked.
	Has func(name string) bool
	// Include gives the files that a pattern of a path names and that may be read, though
	// nobody named them: those below the directories that were given. nil for none.
	Include func(pattern string) []File
	// Boot says that the files are all that the host reads at boot, so that what is not
	// among them is not read.
	Boot bool
}
