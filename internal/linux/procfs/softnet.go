package procfs

import (
	"strconv"
	"strings"
)

// SoftnetColumn is the place of a column in softnet_stat, which has no header.
// Columns were only ever added at the end (net/core/net-procfs.c
// softnet_seq_show); distributions backport them, so the width of a row and not
// the release says which exist.
type SoftnetColumn int

const (
	SoftnetProcessed SoftnetColumn = 0 // packets
	// packets refused by a full backlog (net.core.netdev_max_backlog)
	SoftnetDropped SoftnetColumn = 1
	// runs cut short by net.core.netdev_budget; no packet is lost
	SoftnetSqueezed    SoftnetColumn = 2
	SoftnetReceivedRPS SoftnetColumn = 9 // 2.6.35 and later
	// 3.11 and later, 99bbc7074190; 0 also where CONFIG_NET_FLOW_LIMIT is off
	SoftnetFlowLimit SoftnetColumn = 10
	SoftnetBacklog   SoftnetColumn = 11 // packets waiting now; 5.10 and later, 7d58e6555870
	SoftnetCPU       SoftnetColumn = 12 // number of the CPU; 5.10 and later
	// packets in the input queue, part of the backlog; 6.4 and later, 59da2d7b0e99
	SoftnetInputQueue SoftnetColumn = 13
	// packets being worked off, the rest of it; 6.4 and later
	SoftnetProcessQueue SoftnetColumn = 14
)

// softnetLeast is the width of 2.6 kernels, the narrowest there is.
const softnetLeast = 9

// SoftnetRow is what one online CPU printed, all columns. The counters are 32
// bits wide in the kernel and wrap.
type SoftnetRow []uint64

// Column returns one column, or false where this kernel does not print it.
func (r SoftnetRow) Column(c SoftnetColumn) (uint64, bool) {
	if c < 0 || int(c) >= len(r) {
		return 0, false
	}
	return r[c], true
}

// ParseSoftnet reads /proc/net/softnet_stat: a row of hexadecimal columns for
// each online CPU of the host, whatever the network namespace. Rows of the
// narrowest known width (9) and wider are accepted, all of the same width.
func ParseSoftnet(b []byte) ([]SoftnetRow, error) {
	l, err := wholeLines("softnet_stat", b)
	if err != nil {
		return nil, err
	}
	var rows []SoftnetRow
	for {
		line, ok := l.next()
		if !ok {
			return rows, nil
		}
		row, err := l.hexRow(line)
		if err != nil {
			return nil, err
		}
		if len(row) < softnetLeast {
			return nil, l.errorf("%d columns, want %d or more", len(row), softnetLeast)
		}
		if len(rows) > 0 && len(row) != len(rows[0]) {
			return nil, l.errorf("%d columns, the first row has %d", len(row),
				len(rows[0]))
		}
		rows = append(rows, row)
	}
}

// hexRow reads a line of hexadecimal numbers.
func (l *lines) hexRow(line string) ([]uint64, error) {
	words := strings.Fields(line)
	row := make([]uint64, len(words))
	for i, word := range words {
		n, err := strconv.ParseUint(word, 16, 64)
		if err != nil {
			return nil, l.errorf("column %d is %s, want a hexadecimal number", i+1,
				clip(word))
		}
		row[i] = n
	}
	return row, nil
}
