//go:build linux

package faults

import (
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

// What processes run out of, or leak.
var processFaults = []fault{
	{
		name: "a process at its descriptor limit",
		make: func(w world) scene {
			l := w.listen(8080, 128)
			w.connect(l, lab.ConnectSpec{To: at(8080), N: 50})
			w.must(w.server.Limit(100))
			out, err := w.server.FillFiles()
			w.must(err)
			if out.Errors["EMFILE"] == 0 {
				w.Fatalf("no EMFILE: %v", out.Errors)
			}
			return scene{works: w.takes(l, 8080)}
		},
		want: want{limit: "process-files", severity: "critical", subject: "server",
			process: "server", cause: `100`,
			remedies: []string{`live prlimit`}},
	},
	{
		name: "a CLOSE_WAIT leak",
		make: func(w world) scene {
			l := w.listen(8080, 512)
			opened, accepted := w.connect(l, lab.ConnectSpec{To: at(8080), N: 300})
			_, err := w.client.Close(opened.Group, lab.CloseSpec{N: 250})
			w.must(err)
			// Before that they may be about to close.
			time.Sleep(2100 * time.Millisecond)
			return scene{works: w.without(accepted.Group, "CLOSE_WAIT")}
		},
		want: want{limit: "close-wait", severity: "warning", subject: "server",
			process:  "server",
			cause:    `CLOSE_WAIT.*8080|8080.*CLOSE_WAIT`,
			remedies: []string{`application`}, never: []string{`setting`}},
	},
}
