//go:build linux

// Package bpf reads what eBPF programs and maps of the host have to do with connections: which
// programs decide on a cgroup's connect(), bind() and socket(), and how full the maps of eBPF
// datapaths are. It loads nothing, attaches nothing and changes nothing.
//
// Asking takes privileges: CAP_NET_ADMIN for what is attached (kernel/bpf/syscall.c
// bpf_prog_query), CAP_SYS_ADMIN for what a program or a map is (bpf_prog_get_fd_by_id,
// bpf_map_get_fd_by_id).
package bpf
