package procfs

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/knob"
)

// ParseError says what in a file was not as a kernel writes it. Its text is
// one line, whatever the file held.
type ParseError struct {
	Kind string // kind of file, such as "softnet_stat"
	Line int    // counted from 1; 0 means the file as a whole
	Msg  string
}

func (e *ParseError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("parse %s: %s", e.Kind, e.Msg)
	}
	return fmt.Sprintf("parse %s line %d: %s", e.Kind, e.Line, e.Msg)
}

// lines steps through the lines of one file and knows where it is.
type lines struct {
	kind string
	rest string
	n    int
	cut  bool // the line that next returned last is the end of the file without a newline
}

func newLines(kind string, b []byte) *lines {
	return &lines{kind: kind, rest: string(b)}
}

// wholeLines is newLines for a file that is refused when its end is missing:
// every file of the kernel ends with a newline, and a number that was cut short
// looks like another number.
func wholeLines(kind string, b []byte) (*lines, error) {
	l := newLines(kind, b)
	if l.rest == "" {
		return nil, l.wholef("is empty")
	}
	if !strings.HasSuffix(l.rest, "\n") {
		return nil, l.wholef("is cut short: no newline at its end")
	}
	return l, nil
}

// next returns the next line without its newline, or false at the end.
func (l *lines) next() (string, bool) {
	if l.rest == "" {
		return "", false
	}
	line, rest, ended := strings.Cut(l.rest, "\n")
	l.rest, l.cut = rest, !ended
	l.n++
	return line, true
}

// peek returns what next would return.
func (l *lines) peek() (string, bool) {
	line, _, _ := strings.Cut(l.rest, "\n")
	return line, l.rest != ""
}

// errorf blames the line that next returned last.
func (l *lines) errorf(format string, args ...any) error {
	return l.errorAt(l.n, format, args...)
}

func (l *lines) errorAt(line int, format string, args ...any) error {
	return &ParseError{Kind: l.kind, Line: line, Msg: fmt.Sprintf(format, args...)}
}

// wholef blames the file, for what is missing from it.
func (l *lines) wholef(format string, args ...any) error {
	return l.errorAt(0, format, args...)
}

// number reads an unsigned decimal number; what names it in the error.
func (l *lines) number(what, text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, l.errorf("%s is %s, want a number", what, clip(text))
	}
	return n, nil
}

// clip quotes a piece of a file for an error: on one line, and not all of it.
func clip(s string) string {
	const most = 40
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

// isInteger reports whether s is a decimal number as the kernel prints 64-bit
// values: all of the unsigned range, and the negative half of the signed one.
func isInteger(s string) bool {
	if strings.HasPrefix(s, "-") {
		_, err := strconv.ParseInt(s, 10, 64)
		return err == nil
	}
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}

// isName reports whether s looks like a name of the kernel: printable ASCII
// that begins with a letter.
func isName(s string) bool {
	if s == "" || !(s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z') {
		return false
	}
	return strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) < 0
}

// failures are the parts of one file that could not be read, where the other
// parts stand. It prints as one line.
type failures []error

func (f failures) Error() string {
	const most = 3
	texts := make([]string, 0, most+1)
	for i, err := range f {
		if i == most {
			texts = append(texts, fmt.Sprintf("and %d more", len(f)-most))
			break
		}
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "; ")
}

func (f failures) Unwrap() []error { return f }

// orNil avoids the typed nil that an empty failures would make as an error.
func (f failures) orNil() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// fileMost bounds what is read of one file: a mountinfo of 10,000 mounts has
// some 2 MB.
const fileMost = 16 << 20

func openat(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func openDir(dir int, name string) (int, error) {
	return openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY)
}

func read(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// readFile returns a file to its end. The errors here and below are bare
// errnos; the caller knows the path. The os package is not used: it registers
// every file with the poller, and its first read is of 512 bytes.
func readFile(dir int, name string) ([]byte, error) {
	fd, err := openat(dir, name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	b := make([]byte, 0, 4096)
	for len(b) < fileMost {
		if len(b) == cap(b) {
			b = append(b, make([]byte, cap(b))...)[:len(b)]
		}
		n, err := read(fd, b[len(b):cap(b)])
		if n == 0 || err != nil {
			return b, err
		}
		b = b[:len(b)+n]
	}
	return nil, unix.EFBIG
}

// readSysctl returns a sysctl with a single read. A sysctl that is a list of
// ports answers the second read of a file with its end, so what did not fit
// into the first is lost (kernel/sysctl.c proc_do_large_bitmap): a read that
// was filled is made again with room for the longest list, 32768 ports of at
// most 6 bytes. The kernel allocates as much as is asked for; hence the small
// first try.
func readSysctl(path string) ([]byte, error) {
	for _, size := range []int{4096, 256 << 10} {
		b, err := readOnce(path, size)
		if err != nil {
			return nil, err
		}
		if len(b) < size {
			return b, nil
		}
	}
	return nil, unix.EFBIG
}

func readOnce(path string, size int) ([]byte, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	b := make([]byte, size)
	n, err := read(fd, b)
	return b[:n], err
}

// ParseSysctl returns the value in a file under /proc/sys: its text without
// space at the ends, and with one space wherever there was space of any kind
// between two values. The empty text is a value (ip_local_reserved_ports).
func ParseSysctl(b []byte) (string, error) {
	text := string(b)
	if i := strings.IndexByte(text, 0); i >= 0 {
		return "", &ParseError{Kind: "sysctl", Msg: fmt.Sprintf("byte %d is 0", i)}
	}
	return strings.Join(strings.Fields(text), " "), nil
}

// Sysctl reads the value of a key such as net.ipv4.tcp_rmem, in the network
// namespace of the calling thread; see [ParseSysctl] for its form. A dot that
// is part of an interface's name is written as a slash, as sysctl(8) does:
// net.ipv4.conf.eth0/100.rp_filter.
//
// What could not be read is an error that keeps the errno: a key that this
// kernel or this namespace lacks is fs.ErrNotExist, one that this user may not
// read is fs.ErrPermission.
func (r Root) Sysctl(key string) (string, error) {
	name, err := knob.File(key)
	if err != nil {
		return "", fmt.Errorf("sysctl %s: %w", clip(key), err)
	}
	b, err := r.Read("sys/" + name)
	if err != nil {
		return "", err
	}
	text, err := ParseSysctl(b)
	if err != nil {
		return "", fmt.Errorf("sysctl %s: %w", key, err)
	}
	return text, nil
}
