//go:build linux

package lab

import (
	"os"

	"github.com/maxconn/maxconn/internal/linux/netns"
)

// Fresh reads sysctls in a network namespace that is made from inside the lab, as a
// container's is made from a host. A key that is not there is left out.
func (l *Lab) Fresh(keys ...string) (map[string]string, error) {
	var out map[string]string
	err := l.order("fresh", keys, &out)
	return out, err
}

func readFresh(w *worker, keys []string) (map[string]string, error) {
	out := map[string]string{}
	err := netns.Fresh(func() error {
		for _, key := range keys {
			value, err := readSysctl(w, key)
			if os.IsNotExist(err) {
				continue
			}
			if err != nil {
				return err
			}
			out[key] = value
		}
		return nil
	})
	return out, err
}
