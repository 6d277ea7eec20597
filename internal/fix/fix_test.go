package fix

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/plan"
)

func parsed(t testing.TB, facts string) host.Snapshot {
	t.Helper()
	s, err := host.Parse([]byte("maxconn.snapshot/1\n" + facts + "end\n"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// queue is a window in which a listener with a queue of that limit dropped so many and so many
// connections were opened.
func queue(limit, used, drops, opened int) string {
	moved := func(name string, n int) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprintf("moved %s = %d\n", name, n)
	}
	return fmt.Sprintf(`system window = 10s
system kernel = 6.18.0
sysctl net.core.somaxconn = 4096
counter TcpExt.ListenOverflows = 5000
counter TcpExt.ListenDrops = 5000
counter Tcp.PassiveOpens = 90000
counter Tcp.ActiveOpens = 7
listener 0.0.0.0:8080 = family=4 queue=%d limit=%d drops=5000 inode=100 pid=12 process=app syn=0 oldest=0s youngest=0s backlog=5
inbound 0.0.0.0:8080 = ESTABLISHED=%d unaccepted=%d
`, used, limit, used+50, used) + moved("listener/0.0.0.0:8080/drops", drops) +
		moved("counter/TcpExt.ListenOverflows", drops) +
		moved("counter/Tcp.PassiveOpens", opened)
}

// files is a process with so many descriptors open of a limit.
func files(used, soft int) string {
	return fmt.Sprintf("process 40 = name=proxy uid=0 start=4 state=S soft=%d hard=4096 "+
		"files=%d threads=1 sockets=%d attributed=all ESTABLISHED=%d\n", soft, used, used-4,
		used-4)
}

func planned(t testing.TB, s host.Snapshot) plan.Plan {
	t.Helper()
	p, err := plan.Make(s, plan.Workload{}.Asked(), plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func before(t testing.TB, facts string) Before {
	t.Helper()
	s := parsed(t, facts)
	b, err := NewBefore(s, planned(t, s), 0)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What becomes of an accept queue that dropped 2,140 in ten seconds.
func TestJudge(t *testing.T) {
	dropping := queue(5, 6, 2140, 3000)
	for name, c := range map[string]struct {
		after   string
		verdict Verdict
		why     string
	}{
		"it has room and is used": {queue(511, 41, 0, 5000), Cured, "more use it"},
		"it has room, and the queue is empty when looked at": {
			queue(511, 0, 0, 5000), Cured,
			"500 connections a second are opened, 300 were"},
		"it drops still":        {queue(511, 40, 900, 5000), NotCured, "still"},
		"nothing has changed":   {dropping, NotCured, "still"},
		"nobody comes any more": {queue(511, 0, 0, 0), Untold, "no load"},
		"few come":              {queue(511, 0, 0, 1000), Untold, "load is gone"},
		"a process has no descriptors": {queue(511, 41, 0, 5000) + files(64, 64), Worse,
			"process-files at proxy (pid 40) refuses since the change"},
		"the listener is gone": {"system window = 10s\nsystem kernel = 6.18.0\n" +
			"sysctl net.core.somaxconn = 4096\ncounter TcpExt.ListenOverflows = 1\n",
			Untold, "it is gone"},
		"the counter cannot be read": {strings.ReplaceAll(strings.ReplaceAll(
			queue(511, 3, 0, 5000), "counter Tcp.PassiveOpens = 90000",
			"counter Tcp.PassiveOpens ! permission denied"),
			"moved counter/Tcp.PassiveOpens = 5000\n", ""), Untold,
			"could not be read"},
		"one sample": {strings.ReplaceAll(queue(511, 41, 0, 5000),
			"system window = 10s\n", ""), Untold, "no window"},
		"listeners cannot be read": {
			"system window = 10s\nlistener * ! permission denied\n",
			Untold, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			b := before(t, dropping)
			if len(b.Watched) != 1 || !b.Refusing() {
				t.Fatalf("%+v", b)
			}
			j := b.Judge(parsed(t, c.after), nil, 0)
			if j.Verdict == Cured {
				t.Errorf("cured by one look: %s", j.Why)
			}
			j = b.Judge(parsed(t, c.after), &j, 0)
			if j.Verdict != c.verdict || !strings.Contains(j.Why, c.why) {
				t.Errorf("%s: %s, want %s: %s", j.Verdict, j.Why, c.verdict, c.why)
			}
		})
	}
}

// A queue that is longer than it could be has room. Whether it only fills shows in further windows.
func TestJudgeAQueueThatFills(t *testing.T) {
	for name, c := range map[string]struct {
		used    []int
		opened  int
		verdict Verdict
	}{
		"it stays as long":              {[]int{41, 43}, 5000, Cured},
		"it is empty, and nobody comes": {[]int{200, 0}, 0, Cured},
		"bursts":                        {[]int{130, 400, 200}, 500, Cured},
		"a small share of what comes":   {[]int{200, 400}, 5000, Cured},
		"it grows each time":            {[]int{60, 190, 320, 450}, 500, NotCured},
	} {
		b := before(t, queue(5, 6, 2140, 3000))
		var last *Judgement
		for looked, used := range c.used {
			j := b.Judge(parsed(t, queue(511, used, 0, c.opened)), last, 0)
			final := looked == len(c.used)-1
			if j.Verdict == Untold == final || b.Enough(j, looked+1, 0) != final {
				t.Errorf("%s: look %d: %s: %s", name, looked+1, j.Verdict, j.Why)
			}
			last = &j
		}
		if last.Verdict != c.verdict {
			t.Errorf("%s: %s: %s", name, last.Verdict, last.Why)
		}
	}
}

// The sentence of the report.
func TestSentence(t *testing.T) {
	j := before(t, queue(5, 6, 2140, 3000)).Judge(parsed(t, queue(511, 41, 0, 5000)), nil, 0)
	const want = "accept-queue at 0.0.0.0:8080: 214 refused/s at 6 of 6 -> " +
		"0 refused/s at 41 of 512 connections"
	if got := j.Items[0].String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if none := (Reading{Used: 3, Ceiling: 3, RefusedPerSecond: -1}).String(); none !=
		"refusals not counted, at 3 of 3 connections" {
		t.Errorf("no counter reads as %q", none)
	}
	rate := Reading{Used: 20, Ceiling: 44, RefusedPerSecond: -1, Measure: limit.PerSecond}
	if got := rate.String(); got != "refusals not counted, at most 44 new connections/s" {
		t.Errorf("a rate reads as %q", got)
	}
	if one := (Reading{Unbounded: true, RefusedPerSecond: 0.01}).String(); one !=
		"0.1 refused/s" {
		t.Errorf("a refusal reads as %q", one)
	}
}

// What refused before the change is not its doing, whatever it does after it.
func TestNotWorse(t *testing.T) {
	b := before(t, queue(5, 6, 2140, 3000)+files(64, 64))
	b.Watched = before(t, queue(5, 6, 2140, 3000)).Watched
	full := Reading{Limit: "process-files", Subject: "proxy (pid 40)", Measure: "held"}
	b.Critical = append(b.Critical, full)
	after := parsed(t, queue(511, 0, 0, 5000)+files(64, 64))
	first := b.Judge(after, nil, 0)
	if j := b.Judge(after, &first, 0); j.Verdict != Cured {
		t.Errorf("%s: %s", j.Verdict, j.Why)
	}
}

// A judgement without evidence, or with less of it, is never a cure that it was not with all.
func TestLessIsNoCure(t *testing.T) {
	b := before(t, queue(5, 6, 2140, 3000))
	for _, after := range []string{queue(511, 0, 0, 5000), queue(511, 0, 0, 100),
		queue(511, 40, 900, 5000)} {
		first := b.Judge(parsed(t, after), nil, 0)
		whole := b.Judge(parsed(t, after), &first, 0).Verdict
		lines := strings.SplitAfter(after, "\n")
		for i := range lines {
			less := strings.Join(lines[:i], "") + strings.Join(lines[i+1:], "")
			if strings.HasPrefix(lines[i], "moved ") {
				continue // what is not there has not moved
			}
			v := b.Judge(parsed(t, less), &first, 0).Verdict
			if v == Cured && whole != Cured {
				t.Errorf("without %q it is cured", lines[i])
			}
		}
	}
}

// The load ends at any look: what counts is the last part of the time, not all of it.
func TestJudgeLoadThatEnds(t *testing.T) {
	full, idle := queue(511, 0, 0, 5000), queue(511, 0, 0, 0)
	few, drops := queue(511, 0, 0, 1400), queue(511, 0, 9, 5000)
	for name, c := range map[string]struct {
		after   []string
		verdict Verdict
	}{
		"it goes on":                {[]string{full, full}, Cured},
		"it ends with the change":   {[]string{idle, idle, idle, idle}, Untold},
		"it ends in the first look": {[]string{full, idle, idle, idle}, Untold},
		"it becomes less":           {[]string{full, few, few, few}, Untold},
		"in waves, seen twice":      {[]string{idle, full, full}, Cured},
		"in waves": {[]string{full, idle, full, idle, full, idle},
			Untold},
		"refused a moment longer": {[]string{drops, full, full}, Cured},
		"refused again": {[]string{full, drops, full, drops, drops},
			NotCured},
		"refused once, and the load ends": {[]string{drops, full, idle, idle}, Untold},
	} {
		b := before(t, queue(5, 6, 2140, 3000))
		var last *Judgement
		for looked, after := range c.after {
			j := b.Judge(parsed(t, after), last, 0)
			if last = &j; b.Enough(j, looked+1, 0) {
				break
			}
		}
		if last.Verdict != c.verdict {
			t.Errorf("%s: %s: %s", name, last.Verdict, last.Why)
		}
	}
}

// A table that holds more than it could be before, and only fills, is no cure yet; one that stays
// as full is.
func TestJudgeATableThatFills(t *testing.T) {
	held := func(used, soft int) string { // all connections that are opened stay
		return queue(5, 0, 0, 5) + files(used, soft)
	}
	for name, c := range map[string]struct {
		used    []int
		verdict Verdict
	}{
		"it stays":           {[]int{90, 90}, Cured},
		"it fills":           {[]int{70, 75, 80, 85, 90, 95, 100, 105}, Untold},
		"it fills and stays": {[]int{70, 90, 100, 100}, Cured},
		"it is full again":   {[]int{90, 128, 128, 128}, NotCured},
	} {
		b := before(t, held(64, 64))
		var last *Judgement
		for looked, used := range c.used {
			j := b.Judge(parsed(t, held(used, 128)), last, 0)
			if last = &j; b.Enough(j, looked+1, 0) != (looked == len(c.used)-1) {
				t.Errorf("%s: look %d: %s: %s", name, looked+1, j.Verdict, j.Why)
			}
		}
		if last.Verdict != c.verdict {
			t.Errorf("%s: %s: %s", name, last.Verdict, last.Why)
		}
		r := Report{Evidence: last.Items}
		if short := len(r.Short()); short != map[Verdict]int{NotCured: 1}[c.verdict] {
			t.Errorf("%s: %d are short of room", name, short)
		}
	}
}

// Four looks, or as long as what was there before lasts; a cure and harm at once.
func TestEnough(t *testing.T) {
	b := Before{Seconds: 10}
	old := Before{Seconds: 10, OldLast: 60}
	for _, c := range []struct {
		b      Before
		v      Verdict
		looked int
		since  time.Duration
		want   bool
	}{
		{b, Cured, 1, 10 * time.Second, true}, {b, Worse, 1, 10 * time.Second, true},
		{b, NotCured, 3, 15 * time.Second, false}, {b, NotCured, 4, 20 * time.Second, true},
		{b, Untold, 3, 15 * time.Second, false}, {b, Untold, 4, 20 * time.Second, true},
		{old, Untold, 4, 20 * time.Second, false},
		{old, Untold, 14, 70 * time.Second, true},
		{Before{Seconds: 10, OldLast: 300}, Untold, 4, 20 * time.Second, true},
	} {
		if got := c.b.Enough(Judgement{Verdict: c.v}, c.looked, c.since); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
		if c.want && c.since > c.b.Longest() {
			t.Errorf("%+v: it ends after %v, said to be %v", c, c.since, c.b.Longest())
		}
	}
}

// The journal holds all that a judgement needs.
func TestBeforeSurvivesTheJournal(t *testing.T) {
	b := before(t, queue(5, 6, 2140, 3000))
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	var again Before
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	after := parsed(t, queue(511, 41, 0, 5000))
	if diff := cmp.Diff(b.Judge(after, nil, 0), again.Judge(after, nil, 0)); diff != "" {
		t.Error(diff)
	}
}

// FuzzParse: no panic, and what is read can be written again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"schema":"maxconn.fix/1","evidence":[{"before":{},"after":null}]}`))
	f.Add([]byte(`{"schema":"maxconn.plan/1"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
		for _, i := range r.Evidence {
			_ = i.String()
		}
	})
}

// FuzzJudge: any text that is a snapshot can be judged.
func FuzzJudge(f *testing.F) {
	b := before(f, queue(5, 6, 2140, 3000))
	f.Add(queue(511, 41, 0, 5000))
	f.Add(queue(5, 6, 2140, 3000) + files(64, 64))
	f.Fuzz(func(t *testing.T, facts string) {
		s, err := host.Parse([]byte("maxconn.snapshot/1\n" + facts + "end\n"))
		if err != nil {
			return
		}
		if j := b.Judge(s, nil, 0); j.Verdict == "" || j.Why == "" {
			t.Errorf("%+v", j)
		}
	})
}
