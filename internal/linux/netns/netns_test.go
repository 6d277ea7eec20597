//go:build linux

package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
	"github.com/maxconn/maxconn/internal/linux/thread"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// throwAway makes a network namespace that is held by one thread until the test
// ends, and gives its path.
func throwAway(t *testing.T) Path {
	t.Helper()
	type answer struct {
		tid int
		err error
	}
	ready, release, left := make(chan answer), make(chan struct{}), make(chan struct{})
	thread.Run(func() {
		defer close(left)
		err := unix.Unshare(unix.CLONE_NEWNET)
		ready <- answer{unix.Gettid(), err}
		<-release
	})
	t.Cleanup(func() { close(release); <-left })
	a := <-ready
	if a.err != nil {
		nstest.Unavailable(t, a.err)
	}
	return Path(fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), a.tid))
}

func mustID(t *testing.T, p Path) ID {
	t.Helper()
	id, err := Identify(p)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func reason(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return -1
}

func TestIDIsSpelledAsTheKernelSpellsIt(t *testing.T) {
	link, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if got := mustID(t, "/proc/self/ns/net").String(); got != link {
		t.Errorf("ID.String() = %s, readlink says %s", got, link)
	}
}

func TestDoEntersAndComesBack(t *testing.T) {
	p := throwAway(t)
	want, before := mustID(t, p), mustID(t, "/proc/self/ns/net")
	if want == before {
		t.Fatal("the throw-away namespace is the own one")
	}
	var inside ID
	var devices string
	err := Do(p, func() error {
		var err error
		if inside, err = Self(); err != nil {
			return err
		}
		text, err := os.ReadFile("/proc/thread-self/net/dev")
		devices = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if inside != want {
		t.Errorf("inside Do the namespace is %v, want %v", inside, want)
	}
	if n := strings.Count(devices, ":"); n == 0 || strings.Contains(devices, "eth0") {
		t.Errorf("devices inside:\n%s", devices)
	}
	if after := mustID(t, "/proc/self/ns/net"); after != before {
		t.Errorf("the process moved from %v to %v", before, after)
	}
}

func TestDoReturnsTheFunctionsError(t *testing.T) {
	want := errors.New("from inside")
	if err := Do(ownPath, func() error { return want }); err != want {
		t.Errorf("Do = %v, want %v", err, want)
	}
}

func TestDoSurvivesGoexit(t *testing.T) {
	err := Do(ownPath, func() error { runtime.Goexit(); return nil })
	if !errors.Is(err, errLeft) {
		t.Errorf("Do = %v, want %v", err, errLeft)
	}
}

// No thread may keep the foreign namespace once it runs other goroutines, and the
// main thread must never have been in it.
func TestDoLeavesNoThreadBehind(t *testing.T) {
	p := throwAway(t)
	own := mustID(t, "/proc/self/ns/net")
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			err := Do(p, func() error {
				if unix.Gettid() == unix.Getpid() {
					return errors.New("ran on the main thread")
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for range 64 {
		wg.Go(func() {
			if id, err := Self(); err != nil || id != own {
				t.Errorf("an ordinary goroutine is in %v (%v), want %v", id, err,
					own)
			}
		})
	}
	wg.Wait()
}

func TestOwnNamespaceNeedsNoPrivilege(t *testing.T) {
	asOrdinaryUser(t, "own", "/proc/self/ns/net", "")
}

func TestEnterWithoutPrivilege(t *testing.T) {
	// A named namespace can be opened by everybody, as under /run/netns; entering
	// it is what takes the privilege. A descriptor stands in for the name, because
	// /proc/PID/ns/net of another user could not even be opened.
	asOrdinaryUser(t, "fd", string(throwAway(t)), `Permission`)
}

func TestReadingAnotherUsersProcess(t *testing.T) {
	asOrdinaryUser(t, "path", "/proc/1/ns/net", `Permission`)
}

// asOrdinaryUser runs TestOrdinaryChild of this binary as uid 65534.
func asOrdinaryUser(t *testing.T, how, path, want string) {
	t.Helper()
	if os.Getuid() != 0 || nstest.Mapped() {
		t.Skip("only root, and not that of a user namespace of one user, can become " +
			"another user")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestOrdinaryChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), nstest.ChildEnv+"=1", "NETNS_HOW="+how, "NETNS_PATH="+path,
		"NETNS_WANT="+want)
	cmd.Dir = "/"
	f, err := os.Open(path)
	if err != nil {
		t.Skipf("this user cannot open %s: %v", path, err)
	}
	defer f.Close()
	cmd.ExtraFiles = []*os.File{f}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534,
		Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as an ordinary user: %v\n%s", err, out)
	}
}

func TestOrdinaryChild(t *testing.T) {
	how, path := os.Getenv("NETNS_HOW"), os.Getenv("NETNS_PATH")
	if how == "" {
		t.Skip("only the tests above run this, as another user")
	}
	if how == "fd" {
		path = "/proc/self/fd/3"
	}
	ran := false
	err := Do(Path(path), func() error { ran = true; return nil })
	if os.Getenv("NETNS_WANT") == "" {
		if err != nil || !ran {
			t.Fatalf("Do(%s) = %v, ran %v", path, err, ran)
		}
		return
	}
	if reason(err) != Permission || ran {
		t.Fatalf("Do(%s) = %v, ran %v; want a lack of permission", path, err, ran)
	}
}

func TestIdentifyRefuses(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		want Reason
	}{
		{plain, NotNamespace}, {fifo, NotNamespace}, {dir, NotNamespace},
		{"/proc/self/ns/uts", NotNamespace}, {"/dev/null", NotNamespace},
		{filepath.Join(dir, "none"), NoSuchName},
		{"/proc/2147483647/ns/net", Gone},
	} {
		if _, err := Identify(Path(c.path)); reason(err) != c.want {
			t.Errorf("Identify(%s) = %v, want reason %v", c.path, err, c.want)
		}
	}
}

func TestZombieIsGone(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	// WNOWAIT: wait until it is a zombie and leave it one.
	if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT,
		nil); err != nil {
		t.Fatal(err)
	}
	_, err := System().Resolve(fmt.Sprint(cmd.Process.Pid))
	if reason(err) != Gone {
		t.Errorf("Resolve(zombie) = %v, want that it is gone", err)
	}
}

// named is a directory like /run/netns. Links stand in for bind mounts, which
// would be visible outside the test.
func named(t *testing.T, names map[string]Path) View {
	t.Helper()
	dir := t.TempDir()
	for name, p := range names {
		if err := os.Symlink(string(p), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return View{Proc: "/proc", Named: []string{dir, dir}}
}

func TestResolve(t *testing.T) {
	v := named(t, map[string]Path{"blue": "/proc/self/ns/net", "123": "/proc/self/ns/net"})
	dir := v.Named[0]
	pid := fmt.Sprint(os.Getpid())
	for word, want := range map[string]Path{
		"blue":              Path(dir + "/blue"),
		"123":               Path(dir + "/123"),
		pid:                 Path("/proc/" + pid + "/ns/net"),
		"/proc/self/ns/net": "/proc/self/ns/net",
	} {
		if got, err := v.Resolve(word); err != nil || got != want {
			t.Errorf("Resolve(%q) = %q, %v; want %q", word, got, err, want)
		}
	}
}

func TestResolveNamesWhatExists(t *testing.T) {
	v := named(t, map[string]Path{"blue": ownPath, "green": ownPath, "red": ownPath})
	for _, c := range []struct {
		word  string
		want  Reason
		near  []string
		known int
	}{
		{"bleu", NoSuchName, []string{"blue"}, 3},
		{"gre", NoSuchName, []string{"green", "red"}, 3},
		{"violet", NoSuchName, []string{}, 3},
		{"", NoSuchName, []string{}, 3},
		{"..", NoSuchName, []string{}, 3},
		{"2147483646", Gone, nil, 3},
		{"-5", NoSuchName, []string{}, 3},
	} {
		_, err := v.Resolve(c.word)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("Resolve(%q) = %v, want an *Error", c.word, err)
			continue
		}
		if e.Reason != c.want || !slices.Equal(e.Near, c.near) || len(e.Known) != c.known {
			t.Errorf("Resolve(%q): reason %v, near %q, known %q", c.word, e.Reason,
				e.Near, e.Known)
		}
	}
}

func TestErrorText(t *testing.T) {
	e := &Error{
		Op:      "resolve",
		Subject: "bleu",
		Near:    []string{"blue"},
		Known:   []string{"blue", "red"},
		Reason:  NoSuchName,
	}
	if want := `resolve network namespace "bleu": no such network namespace; near: blue`; e.Error() != want {
		t.Errorf("got  %s\nwant %s", e, want)
	}
	e = &Error{Op: "enter", Subject: "/run/netns/blue", Reason: Permission, Err: unix.EPERM}
	if want := `enter network namespace "/run/netns/blue": no permission (needs CAP_SYS_ADMIN): operation not permitted`; e.Error() != want {
		t.Errorf("got  %s\nwant %s", e, want)
	}
}

func FuzzProcessState(f *testing.F) {
	f.Add("1234 (a b) S 1 1234")
	f.Add("7 (x) y (z)) Z 1")
	f.Add("9 ()")
	f.Add(")")
	f.Fuzz(func(t *testing.T, stat string) {
		state, ok := processState(stat)
		if ok && !strings.Contains(stat, string(rune(state))) && state < 0x80 {
			t.Errorf("processState(%q) = %q", stat, state)
		}
	})
}

func TestProcessState(t *testing.T) {
	for stat, want := range map[string]byte{"1 (a) b) c) Z 0": 'Z', "2 (sh) S 1": 'S'} {
		if got, ok := processState(stat); !ok || got != want {
			t.Errorf("processState(%q) = %q, %v; want %q", stat, got, ok, want)
		}
	}
	if _, ok := processState("3 (cut"); ok {
		t.Error("a cut line has a state")
	}
}
