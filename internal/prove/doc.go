// Package prove tests what maxconn claims about the kernel, on the running kernel.
//
// A claim is one sentence with a figure: how long, how many, how fast. Its trial
// makes a lab (network namespaces of its own, package lab), lets the catalogue
// (package limit) predict the figure from a snapshot of that lab, drives real
// sockets until the figure shows, and looks whether the evidence that `check`
// relies on is really there: the errno, the counter, the socket state. Then it
// repeats the run without the cause; the effect must be absent.
//
// Adding a claim is registering one value, in the file of its subject. A claim that no network
// namespace can show (host-wide limits) says so in Machine and runs only where
// the whole machine may be spoiled: in a virtual machine of package lab/vm.
//
// Trials are independent and run side by side. A trial that needs an undisturbed
// CPU is given the machine for itself, measures whether it had it, and otherwise says
// so instead of giving a verdict.
package prove
