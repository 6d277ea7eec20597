// Package archtest holds the architecture as tests: the import order, which
// packages are pure, where raw system calls and writers of kernel state may
// stand, that each limit is one file with one testdata archive, and how large functions and files
// may grow. ARCHITECTURE.md gives the reasons.
package archtest
