package exporter

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/encode/hostile"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/live"
	"github.com/maxconn/maxconn/internal/ui/exporter/rules"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

var options = Options{Version: "test", Log: slog.New(slog.DiscardHandler),
	Now: func() time.Time { return now }}

// entered is a state that knows a snapshot.
func entered(t testing.TB, o live.Options, s host.Snapshot) *live.State {
	t.Helper()
	state := live.New(o)
	enter(state, "host", s)
	return state
}

func enter(state *live.State, name string, s host.Snapshot) {
	r, gauges := diagnose.CheckAll(s, diagnose.Options{})
	state.Enter(now, live.Survey{Key: name, Name: name, Own: name == "host", Snapshot: s,
		Report: r, Gauges: gauges})
	state.Surveyed(now, 20*time.Millisecond)
	state.Paced(10*time.Millisecond, time.Second)
	state.Look(name, now, nil, nil)
}

// recorded are the hosts of cmd/maxconn.
func recorded(t testing.TB, do func(name string, s host.Snapshot)) {
	t.Helper()
	files, err := filepath.Glob("../../../testdata/hosts/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := host.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		do(filepath.Base(file), s)
	}
}

func scraped(t testing.TB, s *live.State) string {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(s, options).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// Each recorded host gives metrics that Prometheus has nothing to say against.
func TestLint(t *testing.T) {
	recorded(t, func(name string, s host.Snapshot) {
		state := entered(t, live.Options{}, s)
		problems, err := testutil.CollectAndLint(&collector{view: state.View(now, "")})
		if err != nil || len(problems) > 0 {
			t.Errorf("%s: %v %v", name, problems, err)
		}
	})
}

// What a label holds stays a label, whatever a process calls itself, and two subjects that look
// alike are no error.
func TestHostileNames(t *testing.T) {
	for i, name := range hostile.Strings("x") {
		field := host.Fields{}.Add("process", name).AddInt("pid", 7).AddInt("limit", 5).
			AddInt("queue", 6).AddInt("inode", 1)
		s := host.Snapshot{}
		s.Set(host.Fact{Kind: host.ListenerKind, Name: "10.0.0.1:80"}, field.String())
		s.Set(host.Fact{Kind: host.ProcessKind, Name: "7"}, host.Fields{}.Add("name", name).
			AddInt("files", 5).AddInt("soft", 10).String())
		text := scraped(t, entered(t, live.Options{}, s))
		for line := range strings.Lines(text) {
			if !regexp.MustCompile(`^(#.*|[a-z_]+(\{.*\})? [-+0-9.e]+)\n$`).
				MatchString(line) {
				t.Errorf("string %d: line %q", i, line)
			}
		}
		if !strings.Contains(text, "maxconn_process_open_files{") {
			t.Errorf("string %d: no process", i)
		}
	}
}

// However much there is, no more series than allowed, and a scrape is a matter of milliseconds.
func TestSeries(t *testing.T) {
	state := live.New(live.Options{})
	recorded(t, func(name string, s host.Snapshot) {
		for i := range 8 {
			enter(state, fmt.Sprint(name, i), s)
		}
	})
	text := scraped(t, state)
	n := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "maxconn_") {
			n++
		}
	}
	if n > 5000 || n < 1000 {
		t.Errorf("%d series", n)
	}
	if strings.Contains(text, "pid") {
		t.Error("a series has a pid")
	}
}

func BenchmarkScrape(b *testing.B) {
	state := live.New(live.Options{})
	recorded(b, func(name string, s host.Snapshot) {
		for i := range 8 {
			enter(state, fmt.Sprint(name, i), s)
		}
	})
	h := Handler(state, options)
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
	}
}

// Rules and dashboards ask for names that are exported.
func TestNames(t *testing.T) {
	known := map[string]bool{}
	for _, m := range metrics {
		known[m.Name] = true
	}
	var texts []string
	for _, r := range rules.All(limit.Catalogue()) {
		texts = append(texts, r.Expr)
	}
	texts = append(texts, rules.Host(limit.Catalogue()).Queries()...)
	texts = append(texts, rules.Fleet(limit.Catalogue()).Queries()...)
	for _, text := range texts {
		for _, name := range regexp.MustCompile(`\bmaxconn_\w+`).FindAllString(text, -1) {
			if !known[name] {
				t.Errorf("%s: nothing is called %s", text, name)
			}
		}
	}
}

// Unknown is never zero: before the first survey there are no figures of the host, and a namespace
// that cannot be surveyed has the verdict unknown and nothing else but its counters.
func TestNothingKnown(t *testing.T) {
	state := live.New(live.Options{})
	for _, series := range []string{"limit_used", "ceiling", "listener", "last_survey",
		"verdict"} {
		if strings.Contains(scraped(t, state), "\nmaxconn_"+series) {
			t.Errorf("before the first survey there is %s", series)
		}
	}
	state.Failed(now, "a", "web", "permission denied")
	text := scraped(t, state)
	if !strings.Contains(text, `maxconn_verdict_info{netns="web",verdict="unknown"} 1`) ||
		strings.Contains(text, "maxconn_limit_used_connections{") ||
		!strings.Contains(text, `maxconn_unreadable_facts{reason="permission"} 1`) {
		t.Error(text)
	}
}

// serve answers on a listener of the loopback until the test ends.
func serve(t *testing.T, o Options) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, []net.Listener{l}, Handler(live.New(live.Options{}), o), o)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// A page of the web whose name leads to the loopback gets nothing.
func TestHost(t *testing.T) {
	address := serve(t, options)
	for host, want := range map[string]int{
		address: 200, "localhost:1": 200, "localhost": 200, "[::1]:99": 200,
		"evil.example": 403, "evil.example:28232": 403, "10.0.0.1": 403, "": 400,
		"localhost.evil.example": 403, "127.0.0.1.evil.example": 403,
	} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET /metrics HTTP/1.1\r\nHost: %s\r\n"+
			"Connection: close\r\n\r\n", host)
		answer, err := io.ReadAll(c)
		c.Close()
		status := fmt.Sprintf("HTTP/1.1 %d ", want)
		if have := strings.HasPrefix(string(answer), status); !have &&
			!(host == "" && strings.HasPrefix(string(answer), "HTTP/1.1 403")) {
			t.Errorf("Host: %s: %.40q %v, want %d", host, answer, err, want)
		}
	}
}

// Who never reads holds up nobody, and Serve ends all the same.
func TestScraperThatNeverReads(t *testing.T) {
	address := serve(t, options)
	for range 2 * mostScrapes {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	r, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Errorf("status %d", r.StatusCode)
	}
}

// Users of the web configuration are asked for their names.
func TestUsers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	const secret = "$2a$04$v4XwWeaxn5GeV8g2qtEzL.Pfmj8AwjSpL0N9SYySUqhPlKmOm41b2" // "test"
	if err := os.WriteFile(file, []byte("basic_auth_users: {alice: "+secret+"}\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	o := options
	o.Config = file
	address := serve(t, o)
	for password, want := range map[string]int{"test": 200, "": 401, "wrong": 401} {
		r, err := http.NewRequest("GET", "http://"+address+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			r.SetBasicAuth("alice", password)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("password %q: status %d, want %d", password, answer.StatusCode,
				want)
		}
	}
}

// With TLS it answers to TLS alone.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	text, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	write := func(name, kind string, b []byte) {
		must(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{
			Type: kind, Bytes: b}), 0o600))
	}
	write("cert.pem", "CERTIFICATE", text)
	write("key.pem", "PRIVATE KEY", secret)
	o := options
	o.Config = filepath.Join(dir, "web.yml")
	must(t, os.WriteFile(o.Config, []byte("tls_server_config: {cert_file: cert.pem, "+
		"key_file: key.pem}\n"), 0o600))
	address := serve(t, o)
	own, err := x509.ParseCertificate(text)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(own)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}}}
	r, err := client.Get("https://" + address + "/metrics")
	must(t, err)
	r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Errorf("status %d", r.StatusCode)
	}
	client.CloseIdleConnections()
	plain, err := http.Get("http://" + address + "/metrics")
	must(t, err)
	plain.Body.Close()
	if plain.StatusCode != http.StatusBadRequest {
		t.Errorf("without TLS: status %d", plain.StatusCode)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var _ prom.Collector = (*collector)(nil)

// What apply has written is 1 where it is there still and 0 where it is not; where nobody knows,
// nothing is said of it, and that is counted.
func TestSettingsInForce(t *testing.T) {
	state := live.New(live.Options{})
	state.Applied([]live.Setting{{Name: "a", Holds: true}, {Name: "b", Holds: false},
		{Name: "soft limit of web", Holds: true}, {Name: "soft limit of web"}}, "")
	text := scraped(t, state)
	for _, want := range []string{`{setting="a"} 1`, `{setting="b"} 0`,
		`{setting="soft limit of web"} 0`} {
		if strings.Count(text, "maxconn_setting_in_force"+want) != 1 {
			t.Errorf("no series %s", want)
		}
	}
	state.Applied(nil, "permission denied")
	text = scraped(t, state)
	if strings.Contains(text, "\nmaxconn_setting_in_force") ||
		!strings.Contains(text, `maxconn_unreadable_facts{reason="permission"} 1`) {
		t.Errorf("of a journal that may not be read:\n%s", text)
	}
	many := make([]live.Setting, 1000)
	for i := range many {
		many[i].Name = strconv.Itoa(i)
	}
	state.Applied(many, "")
	if text = scraped(t, state); strings.Count(text, "\nmaxconn_setting_in_force") != 256 ||
		!strings.Contains(text, `maxconn_rows_left_out{table="settings"} 744`) {
		t.Error("1,000 settings make other series than 256")
	}
}
