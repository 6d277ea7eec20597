//go:build linux

// Package vm runs one command on another Linux kernel: in a virtual machine that boots in
// seconds, has nothing but a Go program in it, and gives that program full privileges.
//
// What a network namespace cannot show (host-wide limits, other kernel versions, a reboot)
// is shown here. Fetch takes Debian's cloud kernels from the mirror that this host uses
// already; Run boots one in qemu with an initramfs made on the spot: the running program as
// init, the program to run, the kernel modules that both need.
//
//	func TestMain(m *testing.M) { vm.Main(); os.Exit(m.Run()) }
//
//	kernel, err := vm.Fetch(ctx, "6.1")
//	spec := vm.Spec{Kernel: kernel, Binary: "./maxconn", Args: []string{"check"}}
//	out, err := vm.Run(ctx, spec)
//
// The machine has no network device but its own loopback, one processor, and is emulated
// (qemu's TCG): it needs no privileges and no hardware virtualisation, boots in three to
// five seconds, and computes some ten times slower than the host.
//
// Nothing outlives a Run, however the program that called it ends: the kernel kills qemu
// with its parent (PR_SET_PDEATHSIG, prctl(2)), and the initramfs is a file without a name.
//
// A machine forgets everything but its Disk. A second Run with the same Disk is a reboot; a
// Run that is cancelled, or a command that calls reboot(2), is a power cut.
package vm
