// Package exporter shows what package live knows to Prometheus. It only reads: no scrape starts a
// survey, and there is no path to a writer.
//
// The rules and dashboards of packaging/ are made here, too, from the catalogue and the names that
// are exported.
package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"

	"github.com/maxconn/maxconn/internal/live"
)

// DefaultListen is where the exporter listens. 28,232 is the number of local ports that a Linux
// host has for one destination unless it is told otherwise; no exporter has registered it, and
// connect() does not choose it.
const DefaultListen = "127.0.0.1:28232"

// Options are those of the server.
type Options struct {
	Version string
	// Config is the web configuration file of exporter-toolkit: TLS, users, headers. "": none.
	Config string
	Log    *slog.Logger
	Now    func() time.Time
	// Pages adds what people read, nil: nothing.
	Pages func(*http.ServeMux, *live.State)
}

// Handler answers /metrics and /healthz from a state.
func Handler(s *live.State, o Options) http.Handler {
	process := prometheus.NewRegistry()
	process.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	busy := make(chan struct{}, mostScrapes)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		select {
		case busy <- struct{}{}:
			defer func() { <-busy }()
		default:
			http.Error(w, "too many scrapes at once", http.StatusServiceUnavailable)
			return
		}
		registry := prometheus.NewRegistry()
		registry.MustRegister(&collector{view: s.View(o.Now(), r.RemoteAddr),
			version: o.Version})
		promhttp.HandlerFor(prometheus.Gatherers{registry, process},
			promhttp.HandlerOpts{}).ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		healthz(w, s.View(o.Now(), ""))
	})
	if o.Pages != nil {
		o.Pages(mux, s)
	}
	return mux
}

// mostScrapes are answered at once.
const mostScrapes = 8

// healthz says whether surveys go on.
func healthz(w http.ResponseWriter, v live.View) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	const patience = 3 // intervals, and as long as a slow survey may take
	switch age := v.At.Sub(v.Surveyed); {
	case v.Surveyed.IsZero():
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "no survey yet")
	case age > patience*v.Pace.Survey+10*time.Second:
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "the last survey was %s ago\n", age.Round(time.Second))
	default:
		fmt.Fprintln(w, "ok")
	}
}

// Serve answers on listeners until ctx ends, and then lets the requests under way finish.
func Serve(ctx context.Context, listeners []net.Listener, h http.Handler, o Options) error {
	if loopback(listeners) {
		h = ownHost(h)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 1 << 14,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)}
	systemd := false
	flags := &web.FlagConfig{WebSystemdSocket: &systemd, WebListenAddresses: new([]string),
		WebConfigFile: &o.Config}
	ended := make(chan error, 1)
	go func() { ended <- web.ServeMultiple(listeners, server, flags, o.Log) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if server.Shutdown(grace) != nil {
		server.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// loopback says whether all listeners are reached from this host only.
func loopback(all []net.Listener) bool {
	for _, l := range all {
		if !OnLoopback(l.Addr()) {
			return false
		}
	}
	return true
}

// OnLoopback says whether an address can be reached from this host only.
func OnLoopback(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// ownHost refuses requests that name another host than the loopback: a page of the web whose name
// leads here (DNS rebinding) is not to read what others on this host may.
func ownHost(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Host
		if host, _, err := net.SplitHostPort(name); err == nil {
			name = host
		}
		address, err := netip.ParseAddr(strings.Trim(name, "[]"))
		if name != "localhost" && (err != nil || !address.IsLoopback()) {
			http.Error(w, "this address is for requests to localhost",
				http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}
