package listen

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// Activation is a listening socket that the service manager made.
type Activation struct {
	Name     string // of the socket unit or its FileDescriptorName; "" when none was given
	Listener net.Listener
}

// firstActivated is where they begin (sd_listen_fds(3), SD_LISTEN_FDS_START).
const firstActivated = 3

// Activated returns the sockets that systemd passed to this process (LISTEN_FDS, LISTEN_PID
// and LISTEN_FDNAMES; sd_listen_fds(3)), in its order, for [Config.Adopt]. None is no
// error. It takes them over: it must be called once, early, before anything else uses these
// descriptors, and it removes the variables from the environment. Sockets that do not
// listen are an error, and then all are closed.
func Activated() ([]Activation, error) {
	names, err := parseActivation(os.Getpid(), os.Getenv)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	for _, name := range []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	var made []Activation
	var failed error
	for i, name := range names {
		f := os.NewFile(uintptr(firstActivated+i), name)
		// a duplicate, closed in programs that this one starts
		ln, err := net.FileListener(f)
		f.Close()
		if err != nil {
			failed = fmt.Errorf("activated socket %d %q: %w", firstActivated+i, name,
				err)
			continue
		}
		made = append(made, Activation{Name: name, Listener: ln})
	}
	if failed != nil {
		for _, a := range made {
			a.Listener.Close()
		}
		return nil, failed
	}
	return made, nil
}

// maxActivated is above what a service manager can pass: the default hard limit of open files.
const maxActivated = 524288

// parseActivation gives a name for each passed descriptor.
func parseActivation(pid int, env func(string) string) ([]string, error) {
	count, forPID := env("LISTEN_FDS"), env("LISTEN_PID")
	if count == "" || forPID == "" {
		return nil, nil
	}
	if p, err := strconv.Atoi(forPID); err != nil {
		return nil, fmt.Errorf("LISTEN_PID %q is no process ID", forPID)
	} else if p != pid {
		return nil, nil // meant for a parent
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxActivated {
		return nil, fmt.Errorf("LISTEN_FDS %q is no number of sockets", count)
	}
	names := make([]string, n)
	if given := env("LISTEN_FDNAMES"); given != "" {
		copy(names, strings.Split(given, ":"))
	}
	return names, nil
}

// Files is a limit of open files: the highest descriptor number of this process is one less.
type Files struct {
	Soft uint64 // what counts (RLIMIT_NOFILE)
	Hard uint64 // up to which anybody may raise Soft
}

// FilesError says why RaiseFiles did not get what was asked.
type FilesError struct {
	Asked uint64
	Got   Files // in force now
	Max   int64 // fs.nr_open, which bounds Hard for everybody; Unknown when it cannot be read
	Err   error // of the attempt to raise Hard: EPERM without CAP_SYS_RESOURCE
}

// Error names what stopped it.
func (e *FilesError) Error() string {
	text := fmt.Sprintf("raise open files to %d: got %d, hard limit %d", e.Asked, e.Got.Soft,
		e.Got.Hard)
	switch {
	case e.Max != Unknown && e.Asked > uint64(e.Max):
		return fmt.Sprintf("%s: fs.nr_open is %d: %v", text, e.Max, e.Err)
	case e.Asked > e.Got.Hard:
		return fmt.Sprintf(
			"%s: raising that takes CAP_SYS_RESOURCE, or a larger LimitNOFILE or "+
				"ulimit -Hn where the program is started: %v", text, e.Err)
	}
	return fmt.Sprintf("%s: %v", text, e.Err)
}

// Unwrap gives the errno.
func (e *FilesError) Unwrap() error { return e.Err }
