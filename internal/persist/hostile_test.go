package persist

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/encode/hostile"
	"github.com/maxconn/maxconn/internal/plan"
)

// assignments are the lines of files that are no comments, with the files' names.
func assignments(t *testing.T, files []File) (out string) {
	t.Helper()
	for _, f := range files {
		out += f.Path + "\n"
		for line := range strings.Lines(string(f.Content)) {
			if !encode.IsVisible(strings.TrimSuffix(line, "\n")) {
				t.Errorf("%s: a line %q", f.Path, line)
			}
			if !strings.HasPrefix(line, "#") {
				out += line
			}
		}
	}
	return out
}

// hostileScene is a plan of every kind of change that is kept.
func hostileScene(t *testing.T) *scene {
	s := &scene{
		root: fstest.MapFS{},
		facts: snapshot(
			t,
			"process 11 = name=x start=100 unit=ours.service soft=1024 "+
				"hard=524288\nsystem scope = initial\n",
		),
	}
	for _, c := range []string{
		"sysctl net.core.somaxconn: 128 => 4096; accept-queue; x",
		"sysctl net.netfilter.nf_conntrack_buckets: 1 => 2; conntrack; x",
		"process 11#soft: 1024 => 65536; process-files; x",
		"link eth0#txqueuelen: 100 => 1000; transmit-queue; x",
	} {
		s.plan.Changes = append(s.plan.Changes, parseChange(t, c))
	}
	return s
}

// Texts of a plan stay comments; a name or a value that is none is refused.
func TestHostilePlansStayData(t *testing.T) {
	benign := hostileScene(t)
	files, err := Files(benign.plan, benign.options())
	if err != nil {
		t.Fatal(err)
	}
	want := assignments(t, files)
	for _, text := range hostile.Strings("/tmp") {
		s := hostileScene(t)
		for i := range s.plan.Changes {
			c := &s.plan.Changes[i]
			c.Why, c.Limit, c.Setting, c.From, c.Owner, c.Unit, c.Limits = text, text,
				text, text, text, text, text
		}
		files, err := Files(s.plan, s.options())
		if err != nil {
			t.Fatal(err)
		}
		if have := assignments(t, files); have != want {
			t.Errorf("%.60q: %s\nwant %s", text, have, want)
		}
		refusesNames(t, text)
	}
}

func refusesNames(t *testing.T, text string) {
	t.Helper()
	for i := range hostileScene(t).plan.Changes {
		for _, set := range []func(c *plan.Change){
			func(c *plan.Change) {
				c.Target.Name = text
			}, func(c *plan.Change) { c.To = text },
			func(c *plan.Change) { c.Target.Field = text },
		} {
			s := hostileScene(t)
			set(&s.plan.Changes[i])
			files, err := Files(s.plan, s.options())
			var invalid *InvalidError
			if errors.As(err, &invalid) {
				continue
			}
			for _, f := range files {
				if strings.Contains(f.Path, "..") ||
					strings.Count(f.Path, "/") > 5 {
					t.Errorf("%.60q: a file %s", text, f.Path)
				}
			}
			assignments(t, files)
		}
	}
}
