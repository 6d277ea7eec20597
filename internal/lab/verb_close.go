//go:build linux

package lab

import "syscall"

type closing struct {
	Group Group     `json:"group"`
	Spec  CloseSpec `json:"spec"`
}

// counted is the number of descriptors that a verb dealt with.
type counted struct {
	Count int `json:"count"`
}

func closeSockets(w *worker, c closing) (counted, error) {
	fds, err := w.group(c.Group)
	if err != nil {
		return counted{}, err
	}
	n := len(fds)
	if c.Spec.N > 0 {
		n = min(n, c.Spec.N)
	}
	for _, fd := range fds[:n] {
		if c.Spec.Reset {
			syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER,
				&syscall.Linger{Onoff: 1})
		}
		syscall.Close(fd)
	}
	w.groups[c.Group] = fds[n:]
	if n == len(fds) {
		delete(w.groups, c.Group)
	}
	return counted{n}, nil
}

// shutdown sends the FIN and keeps the descriptors.
func shutdown(w *worker, g Group) (counted, error) {
	fds, err := w.group(g)
	if err != nil {
		return counted{}, err
	}
	done := 0
	for _, fd := range fds {
		if syscall.Shutdown(fd, syscall.SHUT_WR) == nil {
			done++
		}
	}
	return counted{done}, nil
}

func states(w *worker, g Group) (map[string]int, error) {
	fds, err := w.group(g)
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	for _, fd := range fds {
		info, err := readTCPInfo(fd)
		if err != nil {
			out[errnoName(err)]++
			continue
		}
		out[stateName(info.state)]++
	}
	return out, nil
}

func queue(w *worker, g Group) (Queue, error) {
	fd, err := w.listener(g)
	if err != nil {
		return Queue{}, err
	}
	info, err := readTCPInfo(fd)
	return Queue{Used: int(info.unacked), Limit: int(info.sacked)}, err
}
