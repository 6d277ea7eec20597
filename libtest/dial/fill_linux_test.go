package dial_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/maxconn/maxconn/dial"
	"github.com/maxconn/maxconn/internal/lab"
)

// fillRole fills a range and tells what a dial cost at each step.
const fillRole = "fill"

// fillJob dials To that many times with one dialer.
type fillJob struct {
	Plain  bool
	Choice dial.Choice
	To     netip.AddrPort
	Ports  int
}

// fillSteps are percentages of the range at which the cost is taken: the median of the
// dials of that percent.
func fillSteps() []int { return []int{5, 25, 45, 52, 60, 75, 90, 95} }

// fill opens connections up to the last step.
func (j fillJob) fill() (map[int]float64, error) {
	open := (&dial.Dialer{Choice: j.Choice}).DialContext
	if j.Plain {
		open = (&net.Dialer{}).DialContext
	}
	steps := fillSteps()
	took := map[int][]float64{}
	for i := range j.Ports * steps[len(steps)-1] / 100 {
		began := time.Now()
		c, err := open(context.Background(), "tcp", j.To.String())
		if err != nil {
			return nil, fmt.Errorf("dial %d: %w", i, err)
		}
		percent := i*100/j.Ports + 1
		took[percent] = append(took[percent], float64(time.Since(began).Nanoseconds())/1000)
		defer c.Close()
	}
	cost := map[int]float64{}
	for _, s := range steps {
		cost[s] = median(took[s])
	}
	return cost, nil
}

func playFill() error {
	var j fillJob
	if err := json.Unmarshal([]byte(os.Getenv(specVar)), &j); err != nil {
		return err
	}
	cost, err := j.fill()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(cost)
}

// BenchmarkFill is the cost of a dial while the range of one source and one destination,
// 16,000 ports, fills: with net.Dialer, and with each choice. "flat" is the dearest step
// divided by the cheapest.
func BenchmarkFill(b *testing.B) {
	for _, c := range []struct {
		name string
		job  fillJob
	}{
		{"net.Dialer", fillJob{Plain: true}},
		{"window", fillJob{Choice: dial.MovingWindow}},
		{"kernel", fillJob{Choice: dial.KernelPort}},
		{"explicit", fillJob{Choice: dial.ExplicitPort}},
	} {
		b.Run(c.name, func(b *testing.B) {
			cost := map[int][]float64{}
			for b.Loop() {
				for step, us := range fillOnce(b, c.job) {
					cost[step] = append(cost[step], us)
				}
			}
			var all []float64
			for _, s := range fillSteps() {
				all = append(all, median(cost[s]))
				b.ReportMetric(median(cost[s]), fmt.Sprintf("us-at-%02d%%", s))
			}
			b.ReportMetric(slices.Max(all)/slices.Min(all), "flat")
		})
	}
}

func fillOnce(b *testing.B, j fillJob) map[int]float64 {
	l := must(lab.Start(b.Context()))(b)
	defer l.Close()
	for _, s := range [][2]string{{"net.ipv4.ip_local_port_range", "40000 55999"},
		{"net.core.somaxconn", "4096"}} {
		if err := l.Set(s[0], s[1]); err != nil {
			b.Fatal(err)
		}
	}
	j.Ports = 16000
	server := must(l.Spawn("server"))(b)
	g, at, err := server.Listen(lab.ListenSpec{Addr: netip.MustParseAddrPort("127.0.0.1:9000"),
		Backlog: 4096})
	if err != nil {
		b.Fatal(err)
	}
	j.To = at
	accepted := make(chan error, 1)
	go func() {
		_, err := server.Accept(lab.AcceptSpec{Listener: g, N: j.Ports * 95 / 100,
			Within: time.Minute})
		accepted <- err
	}()
	b.Setenv(roleVar, fillRole)
	b.Setenv(specVar, string(must(json.Marshal(j))(b)))
	defer os.Unsetenv(roleVar)
	out := must(l.Run(b.Context(), nil, must(os.Executable())(b)))(b)
	var cost map[int]float64
	if err := json.Unmarshal(out.Stdout, &cost); err != nil {
		b.Fatalf("%v: %s%s", err, out.Stdout, out.Stderr)
	}
	if err := <-accepted; err != nil {
		b.Fatal(err)
	}
	return cost
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}
