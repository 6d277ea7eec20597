package limit

import (
	"github.com/maxconn/maxconn/internal/host"

	"github.com/maxconn/maxconn/internal/figure"
)

// lift lets that many pages be queued. The first two numbers keep their distance as the
// kernel has it: 3 to 4 to 6 (net/ipv4/tcp.c tcp_init_mem). Nothing is ever lowered.
func (p tcpPages) lift(need int64) []Remedy {
	sixth := (min(max(need, 1), noCeiling/8)-1)/6 + 1
	low, pressure, most := max(p.low, 3*sixth), max(p.pressure, 4*sixth), max(p.most, 6*sixth)
	m := Remedy{Kind: BySetting, Setting: "net.ipv4.tcp_mem",
		From: triple(p.low, p.pressure, p.most), To: triple(low, pressure, most),
		TakesEffect: Now,
		Text: "allow " + p.pages(most) +
			", in the initial network namespace; the memory is taken only when it " +
			"is queued",
		Sum: figure.Count(need) +
			" pages, twice what is queued now, rounded up to a multiple of 6; the " +
			"first two numbers stand to it as the kernel sets them at boot, 3 " +
			"to 4 to 6",
		Risk: "slow readers may take more of the host's memory before TCP makes their " +
			"windows small", Lasts: untilBoot,
	}
	switch more := most - p.most; {
	case p.pageSize <= 0 || p.pageSize > 1<<20 || p.available == 0 ||
		more > noCeiling/p.pageSize:
		m.Text += "; only by hand, because how much memory the host has left could not " +
			"be seen: sysctl -w net.ipv4.tcp_mem=\"" + m.To + "\""
	case more*p.pageSize > p.available/2:
		return []Remedy{{Kind: ByTopology,
			TakesEffect: "when the host or its share of the load changes",
			Text: "more memory, or fewer busy connections on this host: " +
				"twice what is queued now would let tcp_mem grow by " +
				mebibytes(more*p.pageSize) + ", more than half of the memory " +
				"that is left"}}
	default:
		m.Change = host.Setting{Fact: host.Sysctl(m.Setting), Want: m.To}
		m.Cost = "none by itself; " + mebibytes(more*p.pageSize) +
			" more when that much is queued"
	}
	return []Remedy{m}
}

func triple(a, b, c int64) string { return itoa(a) + " " + itoa(b) + " " + itoa(c) }
