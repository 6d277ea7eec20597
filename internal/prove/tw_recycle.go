package prove

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/maxconn/maxconn/internal/limit"
)

var _ = register(Claim{
	ID:     "tw-recycle-gone",
	Limit:  "time-wait",
	Says:   "net.ipv4.tcp_tw_recycle is gone since Linux 4.12: writing it fails, and nothing takes its place",
	Source: "4396e46187ca (4.12)",
	Unit:   "settings of that name",
	Takes:  time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		w := b.World()
		knob := recycleKnob(b.model("time-wait"))
		predicted := int64(0)
		if older(w.Snapshot().Read().Kernel().String(), knob.Until) {
			predicted = 1
		}
		err := w.Set(knob.Name, "1")
		there := int64(1)
		if errors.Is(err, fs.ErrNotExist) {
			there = 0
		}
		o := Exactly(predicted, there)
		o.Formula = "the catalogue: first version without it is " + knob.Until
		if predicted == 0 {
			o.Expect("error of writing it", fs.ErrNotExist, reason(err))
		}
		o.Without("error of writing net.ipv4.tcp_tw_reuse", "none", reason(w.Set("net.ipv4.tcp_tw_reuse", "1")))
		return o
	},
})

// recycleKnob is what the catalogue says of the setting.
func recycleKnob(l *limit.Limit) limit.Knob {
	for _, k := range l.Knobs {
		if k.Name == "net.ipv4.tcp_tw_recycle" {
			return k
		}
	}
	panic(abort{fmt.Errorf("the catalogue has no net.ipv4.tcp_tw_recycle")})
}

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
