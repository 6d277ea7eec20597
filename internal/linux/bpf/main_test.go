//go:build linux

package bpf_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/lab/vm"
	"github.com/maxconn/maxconn/internal/linux/bpf"
)

// asked has a copy of this test print the sockets of a network namespace, by its inode number.
const asked = "BPF_TEST_SOCKETS_OF"

func TestMain(m *testing.M) {
	vm.Main()
	lab.Main()
	if netns, err := strconv.ParseUint(os.Getenv(asked), 10, 32); err == nil {
		printSockets(uint32(netns))
		return
	}
	os.Exit(m.Run())
}

func printSockets(netns uint32) {
	o, err := bpf.NewOwners(netns)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	defer o.Close()
	err = o.Each(func(h bpf.Held) { fmt.Println(h.PID, h.Inode) }, func(bpf.Table) {})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
