//go:build linux

package role

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/maxconn/maxconn/internal/linux/netns/nstest"

	"golang.org/x/sys/unix"
)

// playEnv makes the test binary another process: "child" says what became of its role, "parent
// PROGRAM" starts that as its child.
const playEnv = "ROLE_TEST"

func TestMain(m *testing.M) {
	switch word, program, _ := strings.Cut(os.Getenv(playEnv), " "); word {
	case "child":
		taken, err := Take("worker")
		fmt.Printf("taken %v, error %v", taken, err)
		os.Exit(0)
	case "parent":
		cmd := exec.Command(program)
		cmd.Env = []string{playEnv + "=child"}
		done, err := Grant(cmd, "worker")
		if err != nil {
			fmt.Print(err)
			os.Exit(1)
		}
		out, err := cmd.CombinedOutput()
		done()
		fmt.Printf("%s %v", out, err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is this program as a process that will say what became of its role.
func child(env ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append([]string{playEnv + "=child"}, env...)
	return cmd
}

func says(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

const given = "taken true, error <nil>"

func TestGranted(t *testing.T) {
	cmd := child()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	cmd.ExtraFiles = []*os.File{null, null} // the role comes behind
	done, err := Grant(cmd, "worker")
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if out := says(t, cmd); out != given {
		t.Error(out)
	}
}

// Someone who can choose the environment, the arguments and the descriptors of a process
// cannot give it a role.
func TestNotGranted(t *testing.T) {
	if out := says(t, child()); out != "taken false, error <nil>" {
		t.Errorf("without a role: %s", out)
	}
	cmd := child()
	done, err := Grant(cmd, "other")
	if err != nil {
		t.Fatal(err)
	}
	if out := says(t, cmd); out != "taken false, error <nil>" {
		t.Errorf("with another role: %s", out)
	}
	done()
	for what, env := range map[string]string{
		"the environment alone": "worker:3:SECRET", "no descriptor": "worker::SECRET",
		"a standard file": "worker:0:SECRET",
		"no secret":       "worker:3:", "a word": "worker", "many words": "worker:3:a:b",
		"no such descriptor": "worker:77:SECRET",
	} {
		if out := says(t, child(variable+"="+env)); !strings.HasPrefix(
			out,
			"taken false, error ",
		) ||
			out == "taken false, error <nil>" {
			t.Errorf("%s: %s", what, out)
		}
	}
	for what, make := range map[string]func(*testing.T) (theirs *os.File, env string){
		"a pipe": func(t *testing.T) (*os.File, string) {
			r, w, err := os.Pipe()
			if err == nil {
				_, err = w.WriteString("worker:SECRET")
			}
			if err != nil {
				t.Fatal(err)
			}
			return r, "worker:3:SECRET"
		},
		"an empty socket": func(t *testing.T) (*os.File, string) {
			return pair(t, ""), "worker:3:SECRET"
		},
		"another secret": func(t *testing.T) (*os.File, string) {
			return pair(t, "worker:SECRET"), "worker:3:TERCES"
		},
		"another role": func(t *testing.T) (*os.File, string) {
			return pair(t, "walker:SECRET"), "worker:3:SECRET"
		},
		"a longer secret": func(t *testing.T) (*os.File, string) {
			return pair(t, "worker:SECRETS"), "worker:3:SECRET"
		},
	} {
		theirs, env := make(t)
		cmd := child(variable + "=" + env)
		cmd.ExtraFiles = []*os.File{theirs}
		if out := says(t, cmd); !strings.HasPrefix(out, "taken false, error the role") {
			t.Errorf("%s: %s", what, out)
		}
		theirs.Close()
	}
}

// pair is one end of a socket pair into whose other end something was written.
func pair(t *testing.T, text string) *os.File {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]) })
	if _, err := unix.Write(fds[0], []byte(text)); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[1]), "pair")
}

// A socket that another process than the parent has made proves nothing: here the grandparent's,
// handed on by a shell.
func TestNotGrantedByTheParent(t *testing.T) {
	cmd := exec.Command(nstest.Tool(t, "sh"), "-c", `"$0"; exit $?`,
		fmt.Sprintf("/proc/%d/exe", os.Getpid()))
	cmd.Env = []string{
		playEnv + "=child",
		"PATH=" + os.Getenv("PATH"),
		variable + "=worker:3:SECRET",
	}
	theirs := pair(t, "worker:SECRET")
	defer theirs.Close()
	cmd.ExtraFiles = []*os.File{theirs}
	if out := says(t, cmd); !strings.Contains(out, "was made by process") {
		t.Error(out)
	}
}

// A program with file capabilities takes no role, not even from a parent that is this program too.
func TestSecure(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives a file capabilities")
	}
	dir, err := os.MkdirTemp("", "maxconn-role")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	plain, capable := filepath.Join(dir, "plain"), filepath.Join(dir, "capable")
	for _, name := range []string{plain, capable} {
		if err := os.WriteFile(name, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// struct vfs_cap_data, version 2 and effective: CAP_NET_RAW
	// (include/uapi/linux/capability.h).
	caps := []byte{1, 0, 0, 2, 0, 1 << 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if err := unix.Setxattr(capable, "security.capability", caps, 0); err != nil {
		t.Skipf("no file capabilities here: %v", err)
	}
	refused := "taken false, error " + ErrSecure.Error()
	for program, want := range map[string]string{plain: given, capable: refused} {
		cmd := exec.Command(plain)
		cmd.Env = []string{playEnv + "=parent " + program}
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: 65534, Gid: 65534},
		}
		if out := says(t, cmd); out != want+" <nil>" {
			t.Errorf("%s: %s", filepath.Base(program), out)
		}
	}
	// And such a program gives none.
	cmd := exec.Command(capable)
	cmd.Env = []string{playEnv + "=parent " + plain}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534,
		Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err == nil || string(out) != ErrSecure.Error() {
		t.Errorf("%v: %s", err, out)
	}
}
