//go:build linux

package link

import (
	"cmp"
	"slices"

	"golang.org/x/sys/unix"
)

// List reads all devices of the calling thread's namespace. sys is where sysfs is
// mounted ("/sys"); it may show another namespace and is then not used. The error
// is an *Error and means that not even the devices could be listed; any other kind
// of fact that could not be read is named in Report.Missing. It needs no privilege.
func List(sys string) (Report, error) {
	devices, err := dumpLinks()
	if err != nil {
		return Report{}, err
	}
	slices.SortFunc(devices, func(a, b Device) int { return cmp.Compare(a.Index, b.Index) })
	r := Report{Devices: devices}
	r.addQdiscs()
	r.addAddresses()
	r.addNeighbours()
	r.addBacklog(sys)
	return r, nil
}

func (r *Report) miss(fact string, err error) {
	r.Missing = append(r.Missing, Missing{fact, err})
}

func (r *Report) addQdiscs() {
	found, err := dumpQdiscs()
	if err != nil {
		r.miss("qdiscs", err)
		return
	}
	for i := range r.Devices {
		d := &r.Devices[i]
		d.Qdiscs = append([]Qdisc{}, found[d.Index]...)
		slices.SortStableFunc(d.Qdiscs, rootFirst)
	}
}

func (r *Report) addAddresses() {
	found, err := dumpAddresses()
	if err != nil {
		r.miss("addresses", err)
		return
	}
	for i := range r.Devices {
		d := &r.Devices[i]
		d.Addresses = append([]Address{}, found[d.Index]...)
		for j := range d.Addresses {
			d.Addresses[j].loopback = d.Loopback
		}
	}
}

func (r *Report) addNeighbours() {
	found, err := dumpNeighbours()
	if err != nil {
		r.miss("neighbours", err)
		return
	}
	for i := range r.Devices {
		n := found[r.Devices[i].Index]
		r.Devices[i].Neighbours = &n
	}
}

func (r *Report) addBacklog(sys string) {
	napi, err := dumpNAPI()
	if err != nil {
		r.miss("napi", err)
	}
	steering := newSteering(sys, r.Devices)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
	}
	for i := range r.Devices {
		d := &r.Devices[i]
		s := signs{kind: d.Kind, up: d.Up, xdp: d.XDP, rps: func() *bool {
			return steering.on(*d)
		}}
		if napi != nil {
			n := napi[d.Index]
			s.napi = &n
		}
		if d.Kind == "veth" && err == nil {
			if on, err := readGRO(fd, d.Name); err == nil {
				s.gro = &on
			}
		}
		d.Backlog = classify(s)
	}
}
