//go:build linux

// Package bpf reads what eBPF programs and maps of the host have to do with connections: which
// programs decide on a cgroup's connect(), bind() and socket(), and how full the maps of eBPF
// datapaths are. And it has programs of its own that only look on, tracepoints and iterators with
// the kernel's types: who holds which socket, what is refused while it happens. They refuse,
// change and delay nothing, need no file system to be mounted, and end with the process, however
// that ends: nothing is pinned.
//
// Asking after others' takes privileges: CAP_NET_ADMIN for what is attached (kernel/bpf/syscall.c
// bpf_prog_query), CAP_SYS_ADMIN for what a program or a map is (bpf_prog_get_fd_by_id,
// bpf_map_get_fd_by_id). The own ones take CAP_BPF and CAP_PERFMON.
//
// Each program is a small file of src, compiled by scripts/bpf.sh. The objects are committed, so
// that nobody needs a compiler; fields of the kernel are found by name when one is loaded.
package bpf
