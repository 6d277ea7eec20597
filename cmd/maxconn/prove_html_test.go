//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/prove"
	"github.com/maxconn/maxconn/internal/render"
)

// A browser that shows the page of a run shows its plots: pixels in the colours of the
// measured curve and of the predicted mark, which are nowhere else on the page; a page
// without series has none.
func TestReportInABrowser(t *testing.T) {
	browser := chromium(t)
	level := 100.0
	r := prove.Report{Kernel: "6.18",
		Proofs: []prove.Proof{{ID: "a", Claim: "a claim", Verdict: prove.Holds,
			Series: []prove.Series{{
				Name: "sockets in TIME_WAIT", X: "s", Y: "sockets",
				Points: []prove.Point{{X: 0, Y: 100}, {X: 30, Y: 90},
					{X: 60, Y: 0}},
				Marks: []prove.Mark{{Name: "predicted", Y: &level}}}}}}}
	curve, mark := plotPixels(t, browser, r)
	if curve < 200 || mark < 100 {
		t.Errorf("%d pixels of the curve and %d of the mark: the plot is not to be seen",
			curve, mark)
	}
	r.Proofs[0].Series = nil
	if curve, mark = plotPixels(t, browser, r); curve+mark > 0 {
		t.Errorf("%d and %d pixels of a plot on a page without one", curve, mark)
	}
}

// The page of a real run shows what was measured: the step in the cost of connect(), and
// where it was predicted.
func TestReportOfARunInABrowser(t *testing.T) {
	browser := chromium(t)
	r, err := prove.Run(t.Context(),
		prove.Options{Claims: append(prove.About("connect-cost-step"),
			prove.About("ports-per-destination")...), Kernel: "this one"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Proofs {
		if strings.Contains(p.Why, lab.ErrUnavailable.Error()) &&
			!strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab") {
			t.Skip(p.Why)
		}
		if len(p.Series) == 0 || len(p.Series[0].Points) < 10 {
			t.Fatalf("%s (%s: %s) has no curve: %+v", p.ID, p.Verdict, p.Why, p.Series)
		}
	}
	curve, mark := plotPixels(t, browser, *r)
	if curve < 200 || mark < 100 {
		t.Errorf("%d pixels of curves and %d of marks: the plots are not to be seen", curve,
			mark)
	}
}

// chromium is a browser that is installed, or ends the test.
func chromium(t *testing.T) string {
	t.Helper()
	browser := anyOf("chromium", "chromium-browser", "google-chrome")
	if browser == "" {
		if strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "browser") {
			t.Fatal("no chromium is installed")
		}
		t.Skip("no chromium is installed")
	}
	return browser
}

func anyOf(programs ...string) string {
	for _, p := range programs {
		if path, err := exec.LookPath(p); err == nil {
			return path
		}
	}
	return ""
}

// plotPixels counts what a screenshot has in the colours of the first curve and of the marks.
func plotPixels(t *testing.T, browser string, r prove.Report) (curve, mark int) {
	t.Helper()
	dir := t.TempDir()
	page, shot := filepath.Join(dir, "report.html"), filepath.Join(dir, "shot.png")
	var b bytes.Buffer
	if err := render.ProofHTML(&b, r); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu",
		"--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--window-size=1000,1400",
		"--screenshot="+shot, "file://"+page)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", browser, err, out)
	}
	text, err := os.ReadFile(shot)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			switch hex(img.At(x, y)) {
			case "1f6feb":
				curve++
			case "bf3989":
				mark++
			}
		}
	}
	return curve, mark
}

func hex(c color.Color) string {
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("%02x%02x%02x", r>>8, g>>8, b>>8)
}
