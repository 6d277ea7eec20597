package dial_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/lab/vm"
)

// TestMain makes the test binary the init of machines, a worker of labs, and the programs
// of job_linux_test.go. After the tests no goroutine may be left.
func TestMain(m *testing.M) {
	vm.Main()
	lab.Main()
	if role := os.Getenv(roleVar); role != "" {
		os.Exit(play(role))
	}
	goleak.VerifyTestMain(m)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
