package apply

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
)

// Two runs, one after the other, on the same setting and the same file: neither takes the
// other for a stranger, and what counts is the later.
func TestLaterRun(t *testing.T) {
	b := newBench(t)
	b.Files = func(p plan.Plan) ([]persist.File, error) {
		text := fmt.Sprintf("net.core.somaxconn = %s\n", p.Changes[0].To)
		return []persist.File{{
			Path:    filepath.Join(b.etc, "sysctl.d", "50-maxconn.conf"),
			Mode:    0o644,
			Content: []byte(text),
			Keeps:   []plan.Target{cap1},
		}}, nil
	}
	var asked []string
	b.NextBoot = func(p plan.Plan, files []persist.File) (out []Comparison) {
		for _, c := range p.Changes {
			asked = append(asked,
				fmt.Sprintf("%s = %s in %q", c.Target.Name, c.To, files[0].Content))
		}
		return nil
	}
	for _, to := range [][2]string{{"128", "4096"}, {"4096", "8192"}} {
		p := thePlan()
		p.Changes = []plan.Change{change(cap1, to[0], to[1])}
		if to[0] == "128" {
			p.Changes = append(p.Changes, change(ports, "32768 60999", "1024 65535"))
		}
		if _, err := b.Apply(t.Context(), p, Options{Persist: true}); err != nil {
			t.Fatal(err)
		}
	}
	look := func(boot string) {
		t.Helper()
		asked = nil
		if v, err := b.Verify(true); err != nil || !v.Holds {
			t.Errorf("%s: %+v, %v", boot, v, err)
		}
		if want := `["net.core.somaxconn = 8192 in \"net.core.somaxconn = 8192\\n\"" "net.ipv4.ip_local_port_range = 1024 65535 in \"net.core.somaxconn = 8192\\n\""]`; fmt.Sprintf("%q", asked) != want {
			t.Errorf("%s: of the next boot it asks %q, want %s", boot, asked, want)
		}
		s, err := b.Status()
		if err != nil || !s.Settled() || len(s.Runs) != 2 || s.Runs[0].Run != 1 ||
			s.Runs[0].Changes[0].Now != NowLater ||
			s.Runs[0].Files[0].Now != NowLater || s.Runs[1].Changes[0].Now != NowNew {
			t.Errorf("%s: %+v, %v", boot, s, err)
		}
	}
	look("now")
	b.reboot(t)
	look("after a boot")
	for i, want := range []string{"4096", "128"} {
		if taken, err := b.Rollback(2-i, false); err != nil || taken.Left != 0 ||
			b.kernel.values[cap1] != want {
			t.Errorf("%+v, %v: somaxconn is %s, want %s", taken, err,
				b.kernel.values[cap1], want)
		}
	}
}
