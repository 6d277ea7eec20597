package apply

import (
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/plan"
)

// InUse says what is in use of a target now.
func (s System) InUse(t plan.Target) (n int64, of string, err error) {
	err = s.inside(func() error {
		n, of, err = inUse(t)
		return err
	})
	return n, of, edge("read the use of", t, "", err)
}

func inUse(t plan.Target) (int64, string, error) {
	switch t.Kind {
	case host.ListenerKind:
		s, err := socketOf(t)
		return int64(s.ReceiveQueue), "connections wait in the queue", err
	case host.ProcessKind:
		n, err := highestFile(t)
		return n, "descriptors are in use, or lie below the highest socket", err
	case host.SysctlKind:
		return sysctlUse(t.Name)
	}
	return 0, "", nil
}

// highestFile is the number of open descriptors, or one more than the highest that is a socket where that is more:
// RLIMIT_NOFILE bounds the number of a descriptor and not their count (fs/file.c alloc_fd).
func highestFile(t plan.Target) (n int64, err error) {
	pid, err := strconv.Atoi(t.Name)
	if err != nil {
		return 0, err
	}
	err = withProcess(pid, t.Start, func(p *procfs.Process) error {
		count, err := p.OpenCount()
		n = int64(count)
		if err != nil {
			return err
		}
		files, err := p.Files()
		if err != nil {
			return nil // the count, which anybody may read, is a lower bound
		}
		defer files.Close()
		_, _, err = files.Sockets(0, func(fd int, _ uint32) bool { n = max(n, int64(fd)+1); return true })
		return err
	})
	return n, err
}

func sysctlUse(name string) (int64, string, error) {
	switch name {
	case "net.netfilter.nf_conntrack_max", "net.nf_conntrack_max":
		n, err := firstNumber("net.netfilter.nf_conntrack_count")
		return n, "connections are tracked", err
	case "fs.file-max":
		n, err := firstNumber("fs.file-nr")
		return n, "files are open on this host", err
	case "net.ipv4.tcp_max_tw_buckets":
		n, err := timeWait()
		return n, "sockets are in TIME_WAIT", err
	}
	return 0, "", nil
}

func firstNumber(key string) (int64, error) {
	text, err := procfs.Root("").Sysctl(key)
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(text, " ")
	return strconv.ParseInt(first, 10, 64)
}

func timeWait() (n int64, err error) {
	b, err := procfs.Root("").Read("thread-self/net/sockstat")
	if err != nil {
		return 0, err
	}
	var bad error
	err = procfs.ParseSockstat(b, func(proto, name, value string) {
		if proto == "TCP" && name == "tw" {
			n, bad = strconv.ParseInt(value, 10, 64)
		}
	})
	if err == nil {
		err = bad
	}
	return n, err
}
