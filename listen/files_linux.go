package listen

import (
	"os"

	"golang.org/x/sys/unix"
)

// RaiseFiles raises the limit of open files of this process to n, or with 0 as far as the
// hard limit goes. It never lowers a limit: what is higher stays. It returns the limits
// then in force, also with an error.
//
// Above the hard limit it tries to raise that too, which takes CAP_SYS_RESOURCE and stops
// at fs.nr_open. When it gets less than n it has gone as far as it may, and returns a
// *FilesError.
//
// The Go runtime raises the soft limit to the hard one when the program starts, and gives
// programs started with os/exec the old one back. After RaiseFiles has changed something
// those inherit the raised limit, as after [syscall.Setrlimit]. It is for the start of a
// program, from one goroutine.
func RaiseFiles(n uint64) (Files, error) {
	now, err := limits()
	if err != nil {
		return now, &FilesError{Asked: n, Got: now, Max: nrOpen(), Err: err}
	}
	if n == 0 {
		n = now.Hard
	}
	if n <= now.Soft {
		return now, nil
	}
	err = raise(n, now)
	got, readErr := limits()
	if err == nil {
		err = readErr
	}
	if err != nil || got.Soft < n {
		return got, &FilesError{Asked: n, Got: got, Max: nrOpen(), Err: err}
	}
	return got, nil
}

// raise goes to n or, where that is refused, as far as may be; the error is that of n.
func raise(n uint64, now Files) error {
	err := set(Files{Soft: n, Hard: max(n, now.Hard)})
	if err == nil {
		return nil
	}
	if most := nrOpen(); most != Unknown && uint64(most) > now.Hard && uint64(most) < n &&
		set(Files{uint64(most), uint64(most)}) == nil {
		return err
	}
	if now.Soft < now.Hard {
		set(Files{now.Hard, now.Hard})
	}
	return err
}

func limits() (Files, error) {
	var r unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r)
	return Files{Soft: r.Cur, Hard: r.Max}, os.NewSyscallError("getrlimit", err)
}

func set(f Files) error {
	return os.NewSyscallError("setrlimit",
		unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: f.Soft, Max: f.Hard}))
}

func nrOpen() int64 { return int64(sysctl("fs/nr_open")) }
