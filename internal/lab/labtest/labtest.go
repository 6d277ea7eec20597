//go:build linux

// Package labtest is what tests share that experiment in a lab. It is for _test.go files only.
package labtest

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/lab"
)

// Start makes a lab that ends with the test. Where none can be made it skips with the reason, or
// fails where MAXCONN_REQUIRE names lab.
func Start(t testing.TB) *lab.Lab {
	t.Helper()
	l, err := lab.Start(context.Background())
	if errors.Is(err, lab.ErrUnavailable) &&
		!strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab") {
		t.Skipf("no lab here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}
