//go:build linux

package link

import (
	"errors"

	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"
)

// Statistics are what the driver of a device counts, as "ethtool -S" prints it.
type Statistics struct {
	Driver string // "ena"
	// Counters are by the driver's own names. Err says why there are none.
	Counters map[string]uint64
	Err      error
}

// ErrNoStatistics is the error of a driver that counts nothing.
var ErrNoStatistics = errors.New("the driver gives no statistics")

// ReadStatistics asks the driver of each device of the calling thread's namespace
// (net/ethtool/ioctl.c ethtool_get_drvinfo, ethtool_get_stats). It needs no privilege.
func ReadStatistics(devices []Device) (map[string]Statistics, error) {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return nil, &Error{"read", "statistics", err}
	}
	defer e.Close()
	out := make(map[string]Statistics, len(devices))
	for _, d := range devices {
		s := Statistics{}
		s.Driver, s.Err = e.DriverName(d.Name)
		if s.Err == nil {
			s.Counters, s.Err = e.Stats(d.Name)
		}
		if errors.Is(s.Err, unix.EOPNOTSUPP) || s.Err == nil && len(s.Counters) == 0 {
			s.Err = ErrNoStatistics
		}
		out[d.Name] = s
	}
	return out, nil
}
