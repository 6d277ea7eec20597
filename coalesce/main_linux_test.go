package coalesce

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/maxconn/maxconn/internal/lab/vm"
)

func TestMain(m *testing.M) {
	vm.Main() // in a virtual machine this binary is the first process
	goleak.VerifyTestMain(m)
}
