//go:build linux

package lab

import "syscall"

// Watch registers N descriptors with epoll instances of its own until the kernel refuses
// (ENOSPC among the errors) and keeps them. The group holds all of them.
func (a *Actor) Watch(n int) (Opened, error) {
	var out Opened
	err := a.control.call("watch", n, &out, maxWithin)
	return out, err
}

// watch counts registrations, not descriptors: the same event source is watched by many instances.
func watch(w *worker, n int) (Opened, error) {
	o := startOpening(maxWithin)
	var r [2]int
	if err := syscall.Pipe2(r[:], syscall.O_CLOEXEC); err != nil {
		return Opened{}, err
	}
	registered := 0
	for range count(n) {
		if o.left() <= 0 {
			break
		}
		fd, err := watchOne(r[0])
		o.out.Attempted++
		if err != nil {
			o.out.Errors[errnoName(err)]++
			break
		}
		o.fds = append(o.fds, fd)
		registered++
	}
	o.fds = append(o.fds, r[0], r[1])
	out := o.finish(w)
	out.Count = registered
	return out, nil
}

// watchOne makes an epoll instance with one registration.
func watchOne(fd int) (int, error) {
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return 0, err
	}
	if err := syscall.EpollCtl(ep, syscall.EPOLL_CTL_ADD, fd,
		&syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}); err != nil {
		syscall.Close(ep)
		return 0, err
	}
	return ep, nil
}

// WatchGroup registers every socket of a group with one epoll instance, as a server does.
func (a *Actor) WatchGroup(g Group) error { return a.control.call("watchgroup", g, nil, maxWithin) }

func watchGroup(w *worker, g Group) (nothing, error) {
	fds, err := w.group(g)
	if err != nil {
		return nothing{}, err
	}
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nothing{}, err
	}
	w.keep([]int{ep})
	for _, fd := range fds {
		if err := syscall.EpollCtl(ep, syscall.EPOLL_CTL_ADD, fd,
			&syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}); err != nil {
			return nothing{}, err
		}
	}
	return nothing{}, nil
}
