package listen

import "fmt"

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
