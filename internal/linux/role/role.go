//go:build linux

// Package role lets a program start itself again in a role that nobody else can give it: a
// worker of a lab or of a load, the process that awaits a confirmation. Such a process does
// what its parent says without asking, so it has to know that its parent is this program
// and not a program that chose its environment.
//
// The parent hands over one end of a socket pair and writes a secret into the other. The
// child takes the role only where the environment names the same secret, the kernel says
// that the pair was made by its own parent and user (SO_PEERCRED, net/unix/af_unix.c
// unix_socketpair, init_peercred), and it has no more rights than that parent: a program
// with file capabilities or a set-user-ID bit takes no role (AT_SECURE,
// security/commoncap.c cap_bprm_creds_from_file).
package role

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// variable names the role, the descriptor and the secret. By itself it proves nothing.
const variable = "MAXCONN_ROLE"

// firstExtra is the number of the first of exec.Cmd.ExtraFiles in the child.
const firstExtra = 3

// ErrSecure is a program that has more rights than the user who starts it.
var ErrSecure = errors.New(
	"a program with file capabilities or a set-user-ID bit does not run itself again: " +
		"run it as root instead",
)

// Grant gives the process that a command will start a role. The command's extra files must be
// complete; the descriptor of the role comes last, and the child closes it. done is to be called
// when the command was started, or could not be.
func Grant(c *exec.Cmd, name string) (done func(), err error) {
	if Secure() {
		return nil, ErrSecure
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make the socket of a role: %w", err)
	}
	defer unix.Close(ends[0])
	theirs := os.NewFile(uintptr(ends[1]), "role")
	secret := rand.Text()
	told := []byte(name + ":" + secret)
	if _, err := unix.SendmsgN(ends[0], told, nil, nil, unix.MSG_NOSIGNAL); err != nil {
		theirs.Close()
		return nil, fmt.Errorf("hand over the secret of a role: %w", err)
	}
	if c.Env == nil {
		c.Env = os.Environ()
	}
	c.Env = append(
		c.Env,
		fmt.Sprintf("%s=%s:%d:%s", variable, name, firstExtra+len(c.ExtraFiles), secret),
	)
	c.ExtraFiles = append(c.ExtraFiles, theirs)
	return func() { theirs.Close() }, nil
}

// Named says whether the environment names a role, without a proof that it was given.
func Named(name string) bool {
	word, _, _ := strings.Cut(os.Getenv(variable), ":")
	return word == name
}

// Take takes a role that the environment names. false without an error: it names none, or another
// one. An error says why the role was not given, and then the process must not act in it.
func Take(name string) (taken bool, err error) {
	if !Named(name) {
		return false, nil
	}
	parts := strings.Split(os.Getenv(variable), ":")
	os.Unsetenv(variable)
	if Secure() {
		return false, ErrSecure
	}
	if len(parts) != 3 || len(parts[2]) == 0 {
		return false, errors.New(
			"the role in the environment was not given by this program")
	}
	fd, err := strconv.Atoi(parts[1])
	if err != nil || fd < firstExtra {
		return false, errors.New("the role in the environment names no descriptor")
	}
	if err := prove(fd, name+":"+parts[2]); err != nil {
		return false, fmt.Errorf("the role %q was not given by the parent process: %w",
			name, err)
	}
	return true, unix.Close(fd)
}

// prove holds a descriptor to be the end of a socket pair that the parent made and wrote this into.
func prove(fd int, want string) error {
	made, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return fmt.Errorf("descriptor %d: %w", fd, err)
	}
	switch {
	case made.Pid <= 0 || int(made.Pid) != os.Getppid():
		return fmt.Errorf("descriptor %d was made by process %d", fd, made.Pid)
	case int(made.Uid) != os.Getuid() || os.Getuid() != os.Geteuid():
		return fmt.Errorf("descriptor %d was made by user %d", fd, made.Uid)
	}
	have := make([]byte, len(want)+1)
	n, _, err := unix.Recvfrom(fd, have, unix.MSG_DONTWAIT)
	if err != nil {
		return fmt.Errorf("read descriptor %d: %w", fd, err)
	}
	if subtle.ConstantTimeCompare(have[:n], []byte(want)) != 1 {
		return fmt.Errorf("descriptor %d holds another secret", fd)
	}
	return nil
}

// atSecure is AT_SECURE (include/uapi/linux/auxvec.h).
const atSecure = 23

// Secure says whether the kernel started the program with more rights than its user has: by file
// capabilities, or as another user.
func Secure() bool {
	entries, err := unix.Auxv()
	if err != nil {
		return true
	}
	for _, e := range entries {
		if e[0] == atSecure {
			return e[1] != 0
		}
	}
	return true
}
