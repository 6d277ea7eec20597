package prove

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/linux/netns"
)

// victimEnv makes the test binary a run that is killed in its middle.
const victimEnv = "PROVE_TEST_VICTIM"

// playVictim runs claims and says when trials have begun. TestMain calls it.
func playVictim() {
	ids := os.Getenv(victimEnv)
	if ids == "" {
		return
	}
	var claims []*Claim
	for _, id := range strings.Fields(ids) {
		claims = append(claims, About(id)...)
	}
	Run(context.Background(), Options{Claims: claims, Progress: func(e Event) {
		fmt.Println(e.Claim.ID)
	}})
	os.Exit(0)
}

// children lists the processes below one, and how many network namespaces they are in
// besides the own.
func children(t *testing.T, pid int) (pids []int, spaces []netns.ID) {
	t.Helper()
	parents := map[int]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		own, _ := strconv.Atoi(strings.Split(file, "/")[2])
		parents[own], _ = strconv.Atoi(f[1])
	}
	own, err := netns.Self()
	if err != nil {
		t.Fatal(err)
	}
	for p := range parents {
		for up := parents[p]; up > 1; up = parents[up] {
			if up != pid {
				continue
			}
			pids = append(pids, p)
			if id, err := netns.Identify(
				netns.Path(fmt.Sprintf("/proc/%d/ns/net", p))); err == nil &&
				id != own && !slices.Contains(spaces, id) {
				spaces = append(spaces, id)
			}
		}
	}
	return pids, spaces
}

func TestKillLeavesNothing(t *testing.T) {
	tried(t, nil, "accept-queue-length") // skips where there are no labs
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), victimEnv+
		"=somaxconn-later listen-from-outside receive-backlog-length txqueuelen")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	var pids []int
	var spaces []netns.ID
	awaitThat(t, "trials are under way in several namespaces", func() bool {
		pids, spaces = children(t, cmd.Process.Pid)
		return len(pids) >= 6 && len(spaces) >= 3
	})
	cmd.Process.Kill()
	for _, pid := range pids {
		awaitThat(t, fmt.Sprintf("process %d is gone", pid), func() bool {
			return !runs(pid)
		})
	}
	for _, id := range spaces {
		awaitThat(t, fmt.Sprintf("nobody is in %v", id), func() bool {
			listing, err := netns.System().List()
			return err == nil && !slices.ContainsFunc(listing.Namespaces,
				func(n netns.Namespace) bool {
					return n.ID == id
				})
		})
	}
}

// runs is false for a process that is gone or a zombie.
func runs(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	return len(f) > 0 && f[0] != "Z" && f[0] != "X"
}

// awaitThat polls for what the kernel announces to nobody.
func awaitThat(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited too long until %s", what)
		}
	}
}

// counted are values below /proc/sys that say what is, not what is wanted.
func counted(name string) bool {
	for _, part := range []string{"random/", "ns_last_pid", "pty/nr", "dentry-state", "inode-",
		"file-nr", "aio-nr", "dqstats", "_count", "quota", "sched_domain",
		"hung_task_detect"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// sysctls are all values below /proc/sys that can be read and do not count.
func sysctls(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range []string{"net", "fs", "kernel"} {
		err := filepath.WalkDir("/proc/sys/"+dir,
			func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() || counted(path) {
					return nil
				}
				if text, err := os.ReadFile(path); err == nil {
					all[path] = string(text)
				}
				return nil
			})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestRunChangesNoSetting(t *testing.T) {
	before := sysctls(t)
	if len(before) < 100 {
		t.Fatalf("only %d settings can be read", len(before))
	}
	tried(t, nil, append(inboundClaims(), "accept-queue-length", "ports-per-destination")...)
	after := sysctls(t)
	for name, was := range before {
		if is, ok := after[name]; ok && is != was {
			t.Errorf("%s was %q and is %q", name, was, is)
		}
	}
}
