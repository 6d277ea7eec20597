//go:build linux

package endtoend

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

// The page in a browser: it shows the fault, renews itself, and the browser has nothing to complain
// of, which it would of anything that the policy of the page forbids.
func TestPageInABrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil && strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "browser") {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip("no chromium is installed")
	}
	l, server, client := inside(t)
	_, address := exporting(t, "--netns", l.NetNS())
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	show := func() (page, complaints string) {
		var errs strings.Builder
		c := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox",
			"--disable-gpu", "--disable-dev-shm-usage",
			"--user-data-dir="+filepath.Join(dir, "profile"),
			"--enable-logging=stderr", "--timeout=8000", "--dump-dom",
			"http://"+address+"/")
		c.Stderr = &errs
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, &errs)
		}
		for line := range strings.Lines(errs.String()) {
			if strings.Contains(line, "CONSOLE") {
				complaints += line
			}
		}
		return string(out), complaints
	}
	page, complaints := show()
	if !strings.Contains(page, `id="freeze" type="button" aria-pressed="false"`) ||
		strings.Contains(page, "CRITICAL") || complaints != "" {
		t.Errorf("console: %s\n%s", complaints, page)
	}
	listening(t, server, 8080, 5)
	_, err = client.Connect(lab.ConnectSpec{To: at(8080), N: 40, NonBlocking: true})
	must(t, err)
	await(t, 30*time.Second, "the page shows the fault", func() bool {
		page, complaints = show()
		return strings.Contains(page, "<b>CRITICAL</b> accept-queue at 127.0.0.1:8080")
	})
	if complaints != "" {
		t.Errorf("console: %s", complaints)
	}
}
