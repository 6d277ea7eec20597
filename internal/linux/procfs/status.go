package procfs

import (
	"strconv"
	"strings"
)

// Status is what maxconn reads of /proc/PID/status.
type Status struct {
	Name    string // as in comm, at most 15 bytes for a user process, any bytes
	State   byte   // R, S, D, T, t, Z, X, I
	PID     int    // of the process, in the reader's pid namespace
	UIDs    [4]uint32
	Threads int
	FDSize  int   // slots of the descriptor table; never shrinks, so no count of open ones
	NSPIDs  []int // PID in each nested pid namespace, outermost first; nil before 4.1
	// Capabilities are the effective ones, a bit each (linux/capability.h), in the user
	// namespace of the process.
	Capabilities uint64
	Capable      bool // whether there is a line of them
}

// Places in Status.UIDs.
const (
	RealUID = iota
	EffectiveUID
	SavedUID
	FilesystemUID
)

// statusNeeds are the names that every kernel prints (fs/proc/array.c
// proc_pid_status); a file without one of them was cut short.
var statusNeeds = [...]string{"Name", "State", "Tgid", "Uid", "FDSize", "Threads"}

// ParseStatus reads /proc/PID/status.
func ParseStatus(b []byte) (Status, error) {
	l, err := wholeLines("status", b)
	if err != nil {
		return Status{}, err
	}
	var s Status
	var seen [len(statusNeeds)]bool
	for {
		line, ok := l.next()
		if !ok {
			break
		}
		name, text, ok := strings.Cut(line, ":")
		if !ok || !isName(name) {
			return Status{}, l.errorf("%s is not a name and a value", clip(line))
		}
		if err := l.status(&s, name, text); err != nil {
			return Status{}, err
		}
		for i, need := range statusNeeds {
			seen[i] = seen[i] || name == need
		}
	}
	for i, need := range statusNeeds {
		if !seen[i] {
			return Status{}, l.wholef("no %s line", need)
		}
	}
	return s, nil
}

// status takes one line; text is what follows the colon.
func (l *lines) status(s *Status, name, text string) (err error) {
	value := strings.TrimSpace(text)
	switch name {
	case "Name":
		s.Name = unescapeName(strings.TrimPrefix(text, "\t"))
	case "State":
		if value == "" || !isName(value) {
			return l.errorf("State is %s, want a letter", clip(value))
		}
		s.State = value[0]
	case "Uid":
		return l.uids(&s.UIDs, value)
	case "Tgid":
		s.PID, err = l.count(name, value)
	case "Threads":
		s.Threads, err = l.count(name, value)
	case "FDSize":
		s.FDSize, err = l.count(name, value)
	case "CapEff":
		s.Capabilities, err = strconv.ParseUint(value, 16, 64)
		s.Capable = err == nil
		if err != nil {
			return l.errorf("CapEff is %s, want a hexadecimal number", clip(value))
		}
	case "NSpid":
		s.NSPIDs, err = l.counts(name, value)
	}
	return err
}

func (l *lines) uids(to *[4]uint32, text string) error {
	words := strings.Fields(text)
	if len(words) != len(to) {
		return l.errorf("Uid has %d numbers, want %d", len(words), len(to))
	}
	for i, word := range words {
		n, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			return l.errorf("Uid is %s, want a number", clip(word))
		}
		to[i] = uint32(n)
	}
	return nil
}

// count reads a number that the kernel keeps in an int.
func (l *lines) count(what, text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, l.errorf("%s is %s, want a number", what, clip(text))
	}
	return int(n), nil
}

func (l *lines) counts(what, text string) ([]int, error) {
	var all []int
	for word := range strings.FieldsSeq(text) {
		n, err := l.count(what, word)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// unescapeName undoes what the kernel does to the two bytes that would break
// the file into other lines (fs/proc/array.c proc_task_name).
func unescapeName(s string) string {
	return strings.NewReplacer(`\n`, "\n", `\\`, `\`).Replace(s)
}
