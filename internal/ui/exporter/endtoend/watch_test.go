//go:build linux

package endtoend

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

// window is a terminal of tmux with a shell in it.
type window struct {
	*testing.T
	tmux, socket string
}

// terminal opens one of a size that ends with the test.
func terminal(t *testing.T, width, height int, env ...string) window {
	t.Helper()
	path, err := exec.LookPath("tmux")
	if err != nil && strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "screen") {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip("tmux is not installed: scripts/debian-packages.sh")
	}
	w := window{t, path, filepath.Join(t.TempDir(), "s")}
	start(t, path, "-D", "-u", "-S", w.socket, "-f", "/dev/null") // no daemon: it ends with us
	shell := append([]string{"new-session", "-d", "-x", strconv.Itoa(width), "-y",
		strconv.Itoa(height), "env", "-u", "NO_COLOR"}, env...)
	await(t, 20*time.Second, "tmux has a window", func() bool {
		return w.command(append(shell, "PS1=$ ", "sh")...).Run() == nil
	})
	return w
}

func (w window) command(args ...string) *exec.Cmd {
	return exec.Command(w.tmux, append([]string{"-N", "-u", "-S", w.socket}, args...)...)
}

func (w window) do(args ...string) string {
	w.Helper()
	out, err := w.command(args...).CombinedOutput()
	if err != nil {
		w.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

// keys presses keys, by the names that tmux has for them.
func (w window) keys(names ...string) {
	w.Helper()
	w.do(append([]string{"send-keys"}, names...)...)
}

// shows waits until the screen has a text, or has it no more.
func (w window) shows(text string, so bool) {
	w.Helper()
	re, last := regexp.MustCompile(text), ""
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if last = w.do("capture-pane", "-p"); re.MatchString(last) == so {
			return
		}
		if time.Now().After(end) {
			w.Fatalf("the screen shows %q: %v, want %v\n%s", text, !so, so, last)
		}
	}
}

// is waits until tmux says so of a format.
func (w window) is(format, want string) {
	w.Helper()
	await(w, time.Minute, format+" is "+want, func() bool {
		return strings.TrimSpace(w.do("display-message", "-p", format)) == want
	})
}

// left sees that a program has ended with status 0 and that the terminal is as it was.
func (w window) left() {
	w.Helper()
	w.shows(`left: 0\b`, true)
	w.is("#{alternate_on} #{cursor_flag} #{mouse_any_flag}", "0 1 0")
	w.keys("clear; stty -a | tr ';' '\\n'", "Enter")
	w.shows(`(?m)[^-]icanon(.|\n)*[^-]echo `, true)
}

// Each key of watch does on a terminal what help says, at two sizes, with colour and without; it
// follows the size of the terminal, and gives it back as it was however it ends.
func TestWatchOnATerminal(t *testing.T) {
	for _, size := range []struct {
		width, height int
		env           string
	}{{80, 24, "TERM=tmux-256color"}, {200, 60, "NO_COLOR=1"}} {
		t.Run(fmt.Sprintf("%dx%d", size.width, size.height), func(t *testing.T) {
			l, server, client := inside(t)
			w := terminal(t, size.width, size.height, size.env)
			dir := t.TempDir()
			w.keys("cd "+dir+"; watch() { sh -c 'echo $$ >pid; exec "+program+
				` watch "$@"' sh "$@"; echo left: $?; }; clear`, "Enter")
			w.keys("watch --every 500ms --record film --netns "+l.NetNS(), "Enter")
			w.shows(`Nothing that could be seen(.|\n)*recording to film`, true)
			w.is("#{alternate_on}", "1")
			listening(t, server, 8080, 5)
			refusing(t, client)
			w.everyKey(dir)
			red := regexp.MustCompile(`\x1b\[[0-9;m\x1b[]*31m`)
			coloured := red.MatchString(w.do("capture-pane", "-p", "-e"))
			if coloured == (size.env == "NO_COLOR=1") {
				t.Errorf("with %s: colour %v", size.env, coloured)
			}
			w.resized()
			w.keys("q")
			w.left()
			w.ends(dir)
		})
	}
}

// refusing keeps an accept queue full until the test ends: new connections come all the time.
func refusing(t *testing.T, client *lab.Actor) {
	t.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-stopped })
	go func() {
		defer close(stopped)
		for {
			if _, err := client.Connect(lab.ConnectSpec{To: at(8080), N: 10,
				NonBlocking: true}); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
}

// everyKey presses the keys that help lists, on a full accept queue.
func (w window) everyKey(dir string) {
	w.Helper()
	const table = `!! accept-queue +127\.0\.0\.1:8080`
	w.shows(`(?m)^>`+table+`(.|\n)*began: critical accept-queue at 127\.0\.0\.1:8080`, true)
	for _, c := range []struct{ key, title, inside string }{
		{"Enter", `^accept-queue at 127`, `CRITICAL +accept-queue at`},
		{"e", `^accept-queue at 127`, `CRITICAL +accept-queue at`},
		{"p", `^plan for accept-queue at 127`, `NOT FIXABLE BY SETTINGS|CHANGES`},
		{"?", `^maxconn watch`, `KEYS(.|\n)*REFUSED`},
	} {
		w.keys(c.key)
		w.shows(c.title+`(.|\n)*(`+c.inside+`)(.|\n)*line 1-`, true)
		w.keys("Down", "j", "PageDown", "End", "G", "Up", "k", "PageUp", "Home", "g")
		w.shows(`line 1-`, true)
		w.keys("q")
		w.shows(`line 1-`, false)
	}
	w.keys("Down")
	w.shows(`(?m)^>`+table, false)
	w.keys("End", "G", "PageUp", "PageDown", "k", "j", "Up", "Home", "g")
	w.shows(`(?m)^>`+table, true)
	w.keys("/", "h", "o", "x", "BSpace", "s", "t")
	w.shows(`filter: host_`, true)
	w.keys("Enter")
	w.shows(table, false)
	w.shows(`; filter: host`, true)
	w.keys("Escape")
	w.shows(`; filter: host`, false)
	w.keys("Space")
	w.shows(`FROZEN`, true)
	w.keys("Space", "n", "+")
	w.shows(`only a recording has a speed`, true)
	w.shows(`FROZEN`, false)
	w.keys("-", "w")
	w.shows(`wrote maxconn-\S+\.txt`, true)
	files, err := filepath.Glob(filepath.Join(dir, "maxconn-*.txt"))
	if err != nil || len(files) != 1 {
		w.Fatal(err, files)
	}
	out, _ := exec.Command(program, "check", "--from", files[0]).Output()
	if !strings.Contains(string(out), "CRITICAL  accept-queue at 127.0.0.1:8080") {
		w.Errorf("what was written says:\n%s", out)
	}
}

// resized makes the terminal smaller, and larger again.
func (w window) resized() {
	w.Helper()
	w.keys("Home") // the last line has the keys again
	for _, size := range [][2]int{{50, 14}, {120, 30}} {
		w.do("resize-window", "-x", strconv.Itoa(size[0]), "-y", strconv.Itoa(size[1]))
		await(w, time.Minute, "the frame has the new size", func() bool {
			shown := strings.TrimSuffix(w.do("capture-pane", "-p"), "\n")
			lines := strings.Split(shown, "\n")
			return len(lines) == size[1] && lines[0] != "" &&
				strings.HasPrefix(lines[size[1]-1], "? help")
		})
	}
}

// ends leaves by ctrl-c and by SIGTERM; the recording of the run before is shown meanwhile.
func (w window) ends(dir string) {
	w.Helper()
	w.keys("clear; watch --from film --speed max", "Enter")
	w.shows(`the recording ends here`, true)
	w.keys("C-c")
	w.left()
	w.keys("clear; watch --from film --speed 0.1", "Enter")
	w.shows(`replay at 0\.1x`, true)
	w.keys("+")
	w.shows(`replay at 0\.2x`, true)
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	must(w, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(w, err)
	must(w, syscall.Kill(pid, syscall.SIGTERM))
	w.left()
}
