package observe

import (
	"errors"
	"io/fs"
	"strconv"
	"syscall"

	"github.com/maxconn/maxconn/internal/host"
)

// why is the reason to record for an error of reading a file.
func why(err error) string {
	var at *fs.PathError
	switch {
	case errors.Is(err, syscall.EMFILE):
		return "maxconn itself ran out of descriptors" + ownLimit()
	case errors.Is(err, fs.ErrPermission):
		return host.Denied
	case errors.Is(err, fs.ErrNotExist):
		return host.Absent
	case errors.As(err, &at):
		return at.Err.Error() // without the path: the fact says what was read
	}
	return err.Error()
}

// isStarved says whether an error is that this process could not open one file more: neither it nor
// the host has a descriptor left.
func isStarved(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// ownLimit is " (limit 10)". It is asked of the kernel, for no file can be read to tell it.
func ownLimit() string {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return ""
	}
	return " (limit " + strconv.FormatUint(l.Cur, 10) + ")"
}

// file reads a file below the root. An unreadable one is recorded as the reason of the facts that
// it would have given.
func (s *subject) file(name string, facts ...host.Fact) ([]byte, bool) {
	b, err := s.root.Read(name)
	if err != nil {
		s.miss(whyNoFile(name, err), facts...)
		return nil, false
	}
	return b, true
}

// whyNoFile does not blame the kernel for a file that is not there: a container may hide it.
func whyNoFile(name string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return host.NoFile(name)
	}
	return why(err)
}

func (s *subject) miss(why string, facts ...host.Fact) {
	for _, f := range facts {
		s.snapshot.Miss(f, why)
	}
}
