package procfs

import "strings"

// ProcessStat is what maxconn reads of /proc/PID/stat. PID and StartTime
// together name one process for as long as the host is up.
type ProcessStat struct {
	PID       int
	Comm      string
	State     byte
	Parent    int    // pid; 0 where it is none of the reader's pid namespace
	Flags     uint64 // PF_ bits of include/linux/sched.h
	Threads   int
	StartTime uint64 // clock ticks since boot
}

// Task flags that say what a process is. Their values have not changed since
// 2.6 (include/linux/sched.h).
const (
	flagExiting      = 0x00000004 // PF_EXITING
	flagKernelThread = 0x00200000 // PF_KTHREAD
)

// Exiting reports whether the thread that the file is about has given up its
// files or is about to: it is set before exit_files drops them, long before the
// state becomes Z (kernel/exit.c do_exit).
func (s ProcessStat) Exiting() bool {
	return s.Flags&flagExiting != 0 || s.State == 'Z' || s.State == 'X' || s.State == 'x'
}

// KernelThread reports whether the process is a thread of the kernel.
func (s ProcessStat) KernelThread() bool { return s.Flags&flagKernelThread != 0 }

// Fields of /proc/PID/stat after the name, counted from 0 (proc(5) counts the
// state as field 3).
const (
	statState     = 0
	statParent    = 4 - 3
	statFlags     = 9 - 3
	statThreads   = 20 - 3
	statStartTime = 22 - 3
)

// ParseProcessStat reads /proc/PID/stat. The name stands in parentheses and may
// itself hold spaces, parentheses and newlines; no field after it can.
func ParseProcessStat(b []byte) (ProcessStat, error) {
	l, err := wholeLines("process stat", b)
	if err != nil {
		return ProcessStat{}, err
	}
	open, end := strings.IndexByte(l.rest, '('), strings.LastIndexByte(l.rest, ')')
	if open < 0 || end < open {
		return ProcessStat{}, l.errorf("no name in parentheses")
	}
	words := strings.Fields(l.rest[end+1:])
	if len(words) <= statStartTime {
		return ProcessStat{}, l.errorf("%d fields follow the name, want %d or more",
			len(words), statStartTime+1)
	}
	s := ProcessStat{Comm: l.rest[open+1 : end]}
	if len(words[statState]) != 1 || !isName(words[statState]) {
		return ProcessStat{}, l.errorf("state is %s, want a letter", clip(words[statState]))
	}
	s.State = words[statState][0]
	if err := l.processNumbers(&s, strings.TrimSpace(l.rest[:open]), words); err != nil {
		return ProcessStat{}, err
	}
	return s, nil
}

func (l *lines) processNumbers(s *ProcessStat, pid string, words []string) (err error) {
	if s.PID, err = l.count("pid", pid); err != nil {
		return err
	}
	if s.Parent, err = l.count("parent", words[statParent]); err != nil {
		return err
	}
	if s.Flags, err = l.number("flags", words[statFlags]); err != nil {
		return err
	}
	if s.Threads, err = l.count("number of threads", words[statThreads]); err != nil {
		return err
	}
	s.StartTime, err = l.number("start time", words[statStartTime])
	return err
}

// ParseComm reads /proc/PID/comm. Any byte but 0 may be part of the name, and a
// process may have an empty one.
func ParseComm(b []byte) (string, error) {
	const most = 256 // a kernel thread's may exceed TASK_COMM_LEN (16) since 4.18
	l, err := wholeLines("comm", b)
	if err != nil {
		return "", err
	}
	name := strings.TrimSuffix(l.rest, "\n")
	if len(name) > most || strings.IndexByte(name, 0) >= 0 {
		return "", l.wholef("%s is not the name of a process", clip(name))
	}
	return name, nil
}
