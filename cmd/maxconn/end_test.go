package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// blocked is a standard output that nobody reads: a write to it begins and does not end.
type blocked struct{ begun chan struct{} }

func (b blocked) Write([]byte) (int, error) {
	select {
	case b.begun <- struct{}{}:
	default:
	}
	select {}
}

// SIGINT and SIGTERM end every verb that judges, even if nobody reads its output. Nothing
// else is waited for: a test that hangs has failed.
func TestEndsWhereNobodyReads(t *testing.T) {
	goals := filepath.Join(t.TempDir(), "goals.yaml")
	if err := os.WriteFile(goals, []byte("inbound:\n  \":80\": 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	box := hostFile("laptop.txt")
	for _, args := range [][]string{
		{"check", "--from", box}, {"check", "--json", "--from", box},
		{"explain", "time-wait", "--from", box},
		{"plan", "--from", box}, {"plan", goals, "--from", box},
		{"lint", "--kernel", "6.12", box}, {"observe"}, {"prove", "--list"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		out, done := blocked{make(chan struct{}, 1)}, make(chan int)
		var stderr bytes.Buffer
		go func() { done <- run(ctx, args, strings.NewReader(""), out, &stderr, noEnv) }()
		<-out.begun
		cancel()
		if status := <-done; status != statusInterrupted {
			t.Errorf("%q: status %d, %s", args, status, &stderr)
		}
	}
}

// A program that was told to end before it has begun says so, whatever it was to compute.
func TestEndsWhileItComputes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	endless := make(chan struct{})
	if _, err := computed(ctx, func() int { <-endless; return 0 }); err != context.Canceled {
		t.Errorf("computed: %v", err)
	}
	close(endless)
}
