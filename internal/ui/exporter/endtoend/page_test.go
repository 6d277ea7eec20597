//go:build linux

package endtoend

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser is headless Chromium, with what it complained of and asked for.
type browser struct {
	*testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
	asked      []string // addresses
}

func browsing(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil && strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "browser") {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip("chromium is not installed: scripts/debian-packages.sh")
	}
	ctx, end := chromedp.NewExecAllocator(t.Context(), append(
		chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.UserDataDir(filepath.Join(t.TempDir(), "profile")),
		chromedp.WSURLReadTimeout(time.Minute))...)
	t.Cleanup(end)
	ctx, stop := context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(stop)
	b := &browser{T: t}
	b.ctx, end = chromedp.NewContext(ctx)
	t.Cleanup(end)
	must(t, chromedp.Listen(b.ctx, b.listen))
	asks(b, network.Enable, network.EnableParams{})
	asks(b, log.Enable, cdp.Empty{})
	asks(b, runtime.Enable, cdp.Empty{})
	return b
}

// asks sends a command of the protocol.
func asks[P, R any](b *browser, command cdp.Command[P, R], params P) {
	b.Helper()
	_, err := chromedp.Call(b.ctx, command, params)
	must(b, err)
}

// listen notes what the browser says on its console and what it asks for.
func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		b.complaints = append(b.complaints, fmt.Sprintf("console: %s %+v", e.Type, e.Args))
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		b.complaints = append(b.complaints, e.Entry.Text+" "+e.Entry.URL)
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	}
}

func (b *browser) does(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	must(b, chromedp.Do(b.ctx, steps...))
}

// says is the text of an expression of JavaScript.
func (b *browser) says(expression string) string {
	b.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	must(b, err)
	return text
}

func (b *browser) is(expression, want string) {
	b.Helper()
	if got := b.says(expression); got != want {
		b.Errorf("%s is %q, want %q", expression, got, want)
	}
}

// becomes waits for what an expression of JavaScript says.
func (b *browser) becomes(expression string) {
	b.Helper()
	await(b, time.Minute, expression, func() bool { return b.says(expression) == "true" })
}

// picture is the page as people see it. MAXCONN_PICTURES is a directory to keep it in, to look at.
func (b *browser) picture(name string) {
	b.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	must(b, err)
	if len(png) < 1000 {
		b.Errorf("%s: %d bytes", name, len(png))
	}
	if dir := os.Getenv("MAXCONN_PICTURES"); dir != "" {
		must(b, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644))
	}
}

// looks is how wide the window is and what the user likes.
func (b *browser) looks(scheme string, width int64) {
	b.Helper()
	asks(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	b.does(chromedp.EmulateViewport(width, 900))
}

// The page in a browser: it renews itself, what can be clicked does what it says, in light and
// dark and on a screen of 400 pixels; the console stays empty, and nothing is asked of others.
func TestPageInABrowser(t *testing.T) {
	l, server, client := inside(t)
	b := browsing(t)
	_, address := exporting(t, "--netns", l.NetNS())
	b.looks("light", 1200)
	b.does(chromedp.Navigate("http://"+address+"/"),
		chromedp.WaitVisible("#freeze"))
	b.is(`document.querySelectorAll(".critical").length`, "0")
	listening(t, server, 8080, 5)
	refusing(t, client)
	b.becomes(`[...document.querySelectorAll(".critical summary")].some(s => ` +
		`s.textContent.includes("accept-queue at 127.0.0.1:8080"))`)
	b.becomes(`document.querySelectorAll("figure svg").length > 0`)
	b.becomes(`[...document.querySelectorAll("li")].some(s => ` +
		`s.textContent.includes("began: critical accept-queue at 127.0.0.1:8080"))`)
	b.clicks()
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1200, 400} {
			b.looks(scheme, width)
			b.picture(fmt.Sprintf("%s-%d", scheme, width))
			b.is("document.documentElement.scrollWidth <= innerWidth", "true")
			b.is("getComputedStyle(document.body).backgroundColor", map[string]string{
				"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[scheme])
		}
	}
	b.withoutScript()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, complaint := range b.complaints {
		t.Errorf("the browser complains: %s", complaint)
	}
	for _, url := range b.asked {
		if !strings.HasPrefix(url, "http://"+address+"/") {
			t.Errorf("it asked for %s", url)
		}
	}
}

// clicks opens and closes a finding by mouse and keyboard, freezes the page and lets it go on, and
// follows the links.
func (b *browser) clicks() {
	b.Helper()
	const open = `document.querySelector("details.critical").open`
	b.is(open, "true")
	b.does(chromedp.Click("#freeze"))
	b.is(`document.getElementById("freeze").getAttribute("aria-pressed")`, "true")
	b.does(chromedp.Click("details.critical summary"))
	b.is(open, "false")
	b.does(chromedp.Focus("details.critical summary"), chromedp.KeyEvent(kb.Enter))
	b.is(open, "true")
	b.does(chromedp.Click("#freeze"))
	b.is(`document.getElementById("freeze").textContent`, "freeze")
	for link, want := range map[string]string{"metrics": "maxconn_build_info{",
		"report.json": `"schema": "maxconn.report/1"`} {
		b.does(chromedp.Click(`a[href="` + link + `"]`))
		b.becomes(`document.body.innerText.includes(` + fmt.Sprintf("%q", want) + `)`)
		b.does(chromedp.NavigateBack(), chromedp.WaitVisible("#freeze"))
	}
}

// withoutScript sees that the page says the same where scripts are off.
func (b *browser) withoutScript() {
	b.Helper()
	asks(b, emulation.SetScriptExecutionDisabled,
		emulation.SetScriptExecutionDisabledParams{Value: true})
	b.does(chromedp.Reload())
	text, err := chromedp.Run(b.ctx, chromedp.Text("main"))
	must(b, err)
	for _, want := range []string{"refuses connections", "accept-queue at 127.0.0.1:8080",
		"Inbound", "Use and ceiling", "Events"} {
		if !strings.Contains(text, want) {
			b.Errorf("without scripts the page does not say %q:\n%s", want, text)
		}
	}
}
