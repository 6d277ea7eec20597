package coalesce

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails when a goroutine of the package is left at the end.
func TestMain(m *testing.M) {
	status := m.Run()
	if left := leftGoroutines(); status == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "goroutines left at the end:\n"+left)
		status = 1
	}
	os.Exit(status)
}

// leftGoroutines are the stacks of those that do not end within some seconds.
func leftGoroutines() string {
	var left []string
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); {
		left = nil
		stacks := make([]byte, 4<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for stack := range strings.SplitSeq(string(stacks), "\n\n") {
			if strings.Contains(stack, "/coalesce.") &&
				!strings.Contains(stack, "TestMain") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return ""
		}
		time.Sleep(10 * time.Millisecond)
	}
	return strings.Join(left, "\n\n")
}
