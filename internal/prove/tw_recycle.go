package prove

import (
	"errors"
	"io/fs"
	"time"

	"github.com/maxconn/maxconn/internal/knob"
)

var _ = register(Claim{
	ID:    "tw-recycle-gone",
	Limit: "time-wait",
	Says: "net.ipv4.tcp_tw_recycle is gone since Linux 4.12: writing it fails, and " +
		"nothing takes its place",
	Source: "4396e46187ca (4.12)",
	Unit:   "settings of that name",
	Takes:  time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		w := b.World()
		row := knob.Lookup("net.ipv4.tcp_tw_recycle")
		predicted := int64(0)
		if kernel := w.Snapshot().Read().Kernel(); kernel.Known() && !row.Gone(kernel) {
			predicted = 1
		}
		err := w.Set(row.Name, "1")
		there := int64(1)
		if errors.Is(err, fs.ErrNotExist) {
			there = 0
		}
		o := Exactly(predicted, there)
		o.Formula = "the catalogue: first version without it is " + row.Until.By.String()
		if predicted == 0 {
			o.Expect("error of writing it", fs.ErrNotExist, reason(err))
		}
		o.Without("error of writing net.ipv4.tcp_tw_reuse", "none",
			reason(w.Set("net.ipv4.tcp_tw_reuse", "1")))
		return o
	},
})

// reason is fs.ErrNotExist in words for whatever means that, or the error itself.
func reason(err error) string {
	switch {
	case err == nil:
		return "none"
	case errors.Is(err, fs.ErrNotExist):
		return fs.ErrNotExist.Error()
	}
	return err.Error()
}
