// Package coalesce tests coalesce with what its own module does not require: other people's tests
// of net.Conn, the connections of dial and listen, and other kernels.
package coalesce

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/maxconn/maxconn/internal/lab/vm"
)

// insteadEnv names a program that runs in place of the tests, with the same arguments: the tests
// of the coalesce module in a machine whose first process is this binary.
const insteadEnv = "COALESCE_TEST_INSTEAD"

func TestMain(m *testing.M) {
	vm.Main() // in a virtual machine this binary is the first process
	if path := os.Getenv(insteadEnv); path != "" {
		err := syscall.Exec(path, os.Args, os.Environ())
		fmt.Fprintln(os.Stderr, path, err)
		os.Exit(1)
	}
	if arguments := os.Getenv(copyEnv); arguments != "" {
		if err := runCopy(arguments); err != nil {
			fmt.Fprintln(os.Stderr, arguments, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}
