package render

import "testing"

func flows(rows ...[]string) table {
	return table{
		columns: []column{{head: "FLOW"}, {head: "process", names: true, spare: true},
			{head: "hold", right: true}, {head: "by", joins: true},
			{head: "burst", right: true}, {head: "by", joins: true}},
		rows: rows,
	}
}

// The narrower the screen, the less stands beside each other; no figure is lost.
func TestTableByWidth(t *testing.T) {
	alike := flows([]string{"10.0.0.1:80", "web (12)", "=984", "files", "6", "queue"},
		[]string{"10.0.0.1:443", notSeen, "-", "", "129", "queue"})
	different := flows([]string{"10.0.0.1:80", "web (12)", "=984", "files", "6", "queue"},
		[]string{"10.0.0.1:443", "", "12", "ports", "129", "memory"})
	for _, c := range []struct {
		table table
		width int
		want  string
	}{
		{alike, 51, "" +
			"FLOW          process   hold  by     burst  by\n" +
			"10.0.0.1:80   web (12)  =984  files      6  queue\n" +
			"10.0.0.1:443  not seen     -           129  queue\n"},
		{alike, 40, "" +
			"FLOW          hold  by     burst  by\n" +
			"10.0.0.1:80   =984  files      6  queue\n" +
			"10.0.0.1:443     -           129  queue\n"},
		{alike, 32, "" +
			"FLOW          hold  by     burst\n" +
			"10.0.0.1:80   =984  files      6\n" +
			"10.0.0.1:443     -           129\n" +
			"  burst is by queue\n"},
		{alike, 30, "" +
			"FLOW          hold  burst\n" +
			"10.0.0.1:80   =984      6\n" +
			"10.0.0.1:443     -    129\n" +
			"  hold is by files\n" +
			"  burst is by queue\n"},
		{alike, 24, "" +
			"FLOW\n" +
			"10.0.0.1:80, web (12)\n" +
			"  hold   =984  files\n" +
			"  burst  6  queue\n" +
			"10.0.0.1:443, process\n" +
			"  not seen\n" +
			"  hold   -\n" +
			"  burst  129  queue\n"},
		{different, 34, "" +
			"FLOW\n" +
			"10.0.0.1:80, web (12)\n" +
			"  hold   =984  files\n" +
			"  burst  6  queue\n" +
			"10.0.0.1:443\n" +
			"  hold   12  ports\n" +
			"  burst  129  memory\n"},
	} {
		s := &screen{style: Style{Width: c.width}}
		s.table(c.table)
		if have := s.b.String(); have != c.want {
			t.Errorf("width %d: have\n%swant\n%s", c.width, have, c.want)
		}
	}
}
