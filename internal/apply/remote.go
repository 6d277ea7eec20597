package apply

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// Remote says whether this program was started over the network, where a setting that
// breaks connections would lock the user out: by what sshd leaves in the environment, or,
// because sudo removes that, by an sshd among the ancestors.
func Remote(env func(string) string) bool {
	if env("SSH_CONNECTION") != "" || env("SSH_TTY") != "" {
		return true
	}
	const generations = 32
	for pid, n := os.Getppid(), 0; pid > 1 && n < generations; n++ {
		name, parent := ancestor(pid)
		if strings.HasPrefix(name, "sshd") || name == "dropbear" || name == "in.telnetd" {
			return true
		}
		pid = parent
	}
	return false
}

// ancestor is the name of a process and its parent; 0 where that cannot be read.
func ancestor(pid int) (name string, parent int) {
	p, err := procfs.Root("").Open(pid)
	if err != nil {
		return "", 0
	}
	defer p.Close()
	name, _ = p.Comm()
	status, _ := p.Read("status")
	_, rest, _ := bytes.Cut(status, []byte("\nPPid:\t"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	parent, _ = strconv.Atoi(string(line))
	return name, parent
}
