//go:build linux

// Package netns tells network namespaces apart, finds the one a user means,
// and runs a function inside it.
//
// It writes no kernel state: entering a namespace changes only the calling
// thread, and that thread ends with the function it ran.
//
// Source: namespaces(7), setns(2); fs/nsfs.c; net/core/net_namespace.c
// netns_install (which capabilities setns wants).
package netns
