// Command maxconn says how many TCP connections a Linux host can make and hold, what stops
// it first, and why.
//
// Each verb has its file. run is the whole program without a process around it; tests call
// it.
package main

import (
	"cmp"
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	otherRoles()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// a second Ctrl-C or SIGTERM ends the process whatever it is doing
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}

// run executes one command line and returns the exit status. The end of ctx ends it at
// once. env looks up environment variables; NO_COLOR, TERM and COLUMNS are the only ones.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer,
	env func(string) string) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, env: env, ctx: ctx}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return a.exit(cmp.Or(root.ExecuteContext(ctx), a.unwritten))
}

// app is one run of the program.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string
	ctx            context.Context // ends when the program is told to end
	status         int             // what a verb that did its work wants to exit with
	unwritten      error           // help that could not be written
}
