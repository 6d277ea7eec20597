package limit

import (
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

// endpoint is the kernel memory that one idle TCP connection takes on one side: the socket,
// the file that the program holds and its entry in an epoll instance. Buffers are not part
// of it: an idle connection has none. Several limits share it: connection-memory,
// cgroup-memory.
type endpoint struct {
	bytes int64
	steps []Step
}

// endpointNeeds are the facts that endpointSize reads.
var endpointNeeds = []host.Fact{
	host.All(host.SlabKind), host.All(host.ProtocolKind), host.Sockstat("TCP.inuse"),
	host.Sockstat("TCP6.inuse"),
}

// What one end of a TCP connection takes of kernel memory on Linux 6.18, x86-64, in bytes and in
// words: the socket alone, as it waits for accept(); the objects of an idle one (endpointSize); and
// what MemFree loses for that, measured as 8,170 to 8,370 for both ends of 100,000 to 2,500,000
// connections.
const (
	socketBytes = 2400
	socketSize  = "2.4 KB"
	IdleSize    = "3.9 KB"
	BytesPerEnd = 4185
)

// object is a slab cache with its object size on Linux 6.18, x86-64, for kernels whose own
// cannot be read: slabinfo needs root, and SLUB merges caches of like size, which then have
// no name.
type object struct {
	cache string
	size  int64
}

// measuredOn is where the sizes come from that this host did not tell.
const measuredOn = "Linux 6.18, x86-64"

// endpointSize adds up what one side of an idle connection takes.
func endpointSize(r *host.Reader) endpoint {
	socket := socketStep(r)
	file := objectsStep(r, "its file (inode, dentry, struct file)",
		object{"sock_inode_cache", 832}, object{"dentry", 192}, object{"filp", 192})
	watch := objectsStep(r, "its entry in an epoll instance", object{"eventpoll_epi", 128},
		object{"eventpoll_pwq", 64})
	sum := socket.Value + file.Value + watch.Value
	// 30,000 endpoints took 3,857 bytes each where the sizes add up to 3,712: slab
	// pages do not divide evenly.
	e := endpoint{bytes: sum + sum/25, steps: []Step{socket, file, watch}}
	e.steps = append(e.steps,
		Step{
			Label: "space that slab pages lose at their ends, 4 %",
			Sum:   itoa(sum) + " / 25",
			Value: sum / 25,
			Unit:  "bytes",
			How:   Measured,
			From:  measuredOn,
		},
		Step{
			ID:    IdleConnection,
			Label: "kernel memory of one idle connection, on one side",
			Sum:   itoa(sum) + " + " + itoa(sum/25),
			Value: e.bytes,
			Unit:  "bytes",
			How:   Computed,
		})
	return e
}

// socketStep is the size of a TCP socket, of the family that has more of them.
func socketStep(r *host.Reader) Step {
	family, size := "TCP", int64(2368)
	four, known := r.Maybe(host.Sockstat("TCP.inuse"))
	if six, ok := r.Maybe(host.Sockstat("TCP6.inuse")); ok && known && six > four {
		family, size = "TCPv6", 2496
	}
	label := "the socket (" + family + ")"
	if n, ok := rowSize(r, host.SlabKind, family); ok {
		return Step{Label: label, Value: n, Unit: "bytes", How: Read,
			From: "slabinfo " + family}
	}
	if n, ok := rowSize(r, host.ProtocolKind, family); ok {
		// The free pointer of a SLAB_TYPESAFE_BY_RCU cache stands behind the object
		// (mm/slub.c calculate_sizes).
		return Step{
			Label: label,
			Sum:   itoa(n) + " + 8, up to a multiple of 64",
			Value: (n + 8 + 63) / 64 * 64,
			Unit:  "bytes",
			How:   Computed,
			From:  "/proc/net/protocols " + family,
		}
	}
	return Step{Label: label, Value: size, Unit: "bytes", How: Measured, From: measuredOn}
}

// objectsStep adds up objects; one that the host does not tell makes the step a measured one.
func objectsStep(r *host.Reader, label string, objects ...object) Step {
	s := Step{Label: label, Unit: "bytes", How: Read, From: "slabinfo"}
	var sum []string
	for _, o := range objects {
		n, ok := rowSize(r, host.SlabKind, o.cache)
		if !ok {
			n, s.How, s.From = o.size, Measured, measuredOn
		}
		s.Value += n
		sum = append(sum, itoa(n))
	}
	s.Sum = strings.Join(sum, " + ")
	return s
}

// rowSize is the size of an object by its table; what cannot be one (an object is smaller
// than 64 KB) is not known.
func rowSize(r *host.Reader, k host.Kind, name string) (int64, bool) {
	row, ok := r.Row(k, name)
	if !ok {
		return 0, false
	}
	n, ok := row.Int("size")
	return n, ok && n > 0 && n < 1<<16
}

// fits is how many further connections fit into that many bytes, in two digits.
func (e endpoint) fits(bytes int64) int64 { return roughly(max(bytes, 0) / e.bytes) }

// roughly is a number rounded down to its first two digits. Free memory moves all the time;
// a report of a quiet host must not.
func roughly(n int64) int64 {
	unit := int64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	return n / unit * unit
}

// roughlyUp is a number rounded up to two digits.
func roughlyUp(n int64) int64 {
	down := roughly(n)
	unit := int64(1)
	for down/unit >= 100 {
		unit *= 10
	}
	if down < n {
		down += unit
	}
	return down
}

// mebibytes writes an amount of memory; small ones in KiB.
func mebibytes(bytes int64) string {
	if bytes < 1<<20 {
		return figure.Count(bytes>>10) + " KiB"
	}
	return figure.Count(bytes>>20) + " MiB"
}
