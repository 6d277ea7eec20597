//go:build linux

package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/role"
)

func TestStartAndClose(t *testing.T) {
	l := start(t)
	id, own := identity(t, l), must(netns.Self())(t)
	if id == own {
		t.Fatal("the lab is in the own namespace")
	}
	a, b := spawn(t, l, "one"), spawn(t, l, "two")
	for _, pid := range []int{l.PID(), a.PID(), b.PID()} {
		p := netns.Path(fmt.Sprintf("/proc/%d/ns/net", pid))
		if got := must(netns.Identify(p))(t); got != id {
			t.Errorf("process %d is in %v, want %v", pid, got, id)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{l.PID(), a.PID(), b.PID()} {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			t.Errorf("process %d is still there", pid)
		}
	}
	if inhabited(t, id) {
		t.Error("the namespace still has processes")
	}
	if err := l.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if _, err := l.Spawn("late"); err == nil {
		t.Error("an actor was spawned in a closed lab")
	}
	if err := l.Set("net.core.somaxconn", "1"); !errors.Is(err, ErrEnded) {
		t.Errorf("Set after Close = %v", err)
	}
}

func TestLoopbackIsUp(t *testing.T) {
	l := start(t)
	a := spawn(t, l, "server")
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		_, at, err := a.Listen(ListenSpec{Addr: netip.MustParseAddrPort(addr), Backlog: 1})
		if err != nil {
			t.Fatal(err)
		}
		out := must(a.Connect(ConnectSpec{To: at}))(t)
		if out.Count != 1 {
			t.Errorf("connect to %v: %+v", at, out)
		}
	}
}

func TestNetNSCanBeEntered(t *testing.T) {
	l := start(t)
	err := netns.Do(netns.Path(l.NetNS()), func() error {
		if id, err := netns.Self(); err != nil || id != identity(t, l) {
			t.Errorf("inside is %v (%v)", id, err)
		}
		return nil
	})
	var refused *netns.Error
	if os.Getuid() != 0 && errors.As(err, &refused) && refused.Reason == netns.Permission {
		return // an ordinary user uses Run
	}
	if err != nil {
		t.Error(err)
	}
}

func BenchmarkStartSpawnClose(b *testing.B) {
	for b.Loop() {
		l, err := Start(context.Background())
		if err != nil {
			b.Skip(err)
		}
		if _, err := l.Spawn("server"); err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func TestContextEndsTheLab(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l, err := Start(ctx)
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	id := identity(t, l)
	cancel()
	<-l.ended
	await(t, "the namespace is empty", func() bool { return !inhabited(t, id) })
	if _, err := Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Start with a cancelled context = %v", err)
	}
}

// A thread of a Go program may end; the lab must not end with it.
func TestStartOnAThreadThatEnds(t *testing.T) {
	made := make(chan *Lab, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		l, err := Start(context.Background())
		if err != nil {
			t.Log(err)
		}
		made <- l
	}()
	l := <-made
	if l == nil {
		t.Skip("no lab; TestStartAndClose says why")
	}
	defer l.Close()
	for range 50 {
		if err := l.Set("net.core.somaxconn", "9"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestActorHasItsNameAndTable(t *testing.T) {
	l := start(t)
	a, b := spawn(t, l, "backend (1)"), spawn(t, l, "exactly15-bytes")
	for _, actor := range []*Actor{a, b} {
		comm := must(os.ReadFile(fmt.Sprintf("/proc/%d/comm", actor.PID())))(t)
		if string(comm) != actor.Name()+"\n" {
			t.Errorf("comm is %q, want %q", comm, actor.Name())
		}
	}
	before := descriptors(t, b.PID())
	out := must(a.Bind(BindSpec{Addr: netip.MustParseAddrPort("127.0.0.1:0"), N: 5}))(t)
	if out.Count != 5 || descriptors(t, b.PID()) != before {
		t.Errorf("bound %+v; the other has %d descriptors, had %d", out,
			descriptors(t, b.PID()), before)
	}
	if _, err := l.Spawn("sixteen-bytes-xx"); err == nil {
		t.Error("a name of 16 bytes was taken")
	}
}

func TestUnavailable(t *testing.T) {
	// CLONE_NEWUSER does not go with CLONE_FS (kernel/fork.c copy_process).
	_, err := startHolder([]uintptr{syscall.CLONE_NEWUSER | syscall.CLONE_FS})
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.EINVAL) {
		t.Errorf("startHolder = %v, want ErrUnavailable and EINVAL", err)
	}
}

func TestStartInAWorkerIsRefused(t *testing.T) {
	t.Setenv("MAXCONN_ROLE", workerRole+":4:x")
	if _, err := Start(context.Background()); err == nil ||
		!strings.Contains(err.Error(), "lab.Main") {
		t.Errorf("Start = %v, want a word about lab.Main", err)
	}
}

func TestMainWithoutControlSocket(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	granted, err := role.Grant(cmd, workerRole) // descriptor 3 is the role's then, and closed
	if err != nil {
		t.Fatal(err)
	}
	defer granted()
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no control socket") {
		t.Errorf("a worker without a parent: %v, %s", err, out)
	}
}

// family is what playParent prints: who must be gone when it is.
type kin struct {
	NetNS netns.ID
	PIDs  []int
}

const parentEnv = "LAB_TEST_PARENT"

// playParent makes this test binary a program with a lab, for TestKillParent.
func playParent() {
	if os.Getenv(parentEnv) == "" {
		return
	}
	k, err := holdLab()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(k)
	select {}
}

func holdLab() (kin, error) {
	l, err := Start(context.Background())
	if err != nil {
		return kin{}, err
	}
	k := kin{PIDs: []int{l.PID()}}
	for _, name := range []string{"idle", "busy", "stopped"} {
		a, err := l.Spawn(name)
		if err != nil {
			return k, err
		}
		k.PIDs = append(k.PIDs, a.PID())
		switch name {
		case "busy": // in a system call that does not look at its control socket
			g, _, err := a.Listen(
				ListenSpec{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
			if err != nil {
				return k, err
			}
			go a.Accept(AcceptSpec{Listener: g, Within: maxWithin})
		case "stopped":
			a.Stop()
		}
	}
	go l.Run(context.Background(), nil, "sleep", "60")
	peer, err := l.Beside(context.Background())
	if err != nil {
		return k, err
	}
	far, err := peer.Spawn("far")
	if err != nil {
		return k, err
	}
	k.PIDs = append(k.PIDs, peer.PID(), far.PID())
	k.NetNS, err = netns.Identify(netns.Path(l.NetNS()))
	return k, err
}

func TestKillParent(t *testing.T) {
	start(t).Close() // skips where there are no labs
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), parentEnv+"=1")
	cmd.Stderr = os.Stderr
	out := must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	line := must(bufio.NewReader(out).ReadBytes('\n'))(t)
	var k kin
	if err := json.Unmarshal(line, &k); err != nil {
		t.Fatal(err)
	}
	if !inhabited(t, k.NetNS) || len(k.PIDs) != 6 {
		t.Fatalf("there is no lab: %+v", k)
	}
	cmd.Process.Kill()
	for _, pid := range k.PIDs {
		await(t, fmt.Sprintf("worker %d is gone", pid), func() bool { return !alive(pid) })
	}
	await(t, "the namespace is empty", func() bool { return !inhabited(t, k.NetNS) })
}

// TestAsOrdinaryUser runs the other tests as uid 65534.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 || os.Getenv("LAB_TEST_ORDINARY") != "" {
		t.Skip("only root becomes another user")
	}
	args := []string{"-test.count=1", "-test.v", "-test.skip=^(Fuzz|TestLarge)"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), "LAB_TEST_ORDINARY=1")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534,
		Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("as an ordinary user: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "--- SKIP") {
			t.Log(strings.TrimSpace(line))
		}
	}
}
