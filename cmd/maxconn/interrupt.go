package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// interruptible does not wait for work that goes on when ctx ends; the process ends soon after.
func interruptible[T any](ctx context.Context, work func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		v, err := work()
		done <- outcome{v, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// computed is interruptible for work that cannot fail.
func computed[T any](ctx context.Context, work func() T) (T, error) {
	return interruptible(ctx, func() (T, error) { return work(), nil })
}

// context is that of the whole run.
func (a *app) context() context.Context {
	if a.ctx == nil {
		return context.Background()
	}
	return a.ctx
}

// lastWords is how long a result is waited for after the program was told to end: what was
// reached is worth telling, and nobody may be at the other end of the pipe.
const lastWords = 500 * time.Millisecond

// write hands a whole result to the standard output in one piece.
func (a *app) write(result func(w io.Writer) error) error {
	done := make(chan error, 1)
	go func() { done <- result(a.stdout) }()
	var err error
	select {
	case err = <-done:
	case <-a.context().Done():
		select {
		case err = <-done:
		case <-time.After(lastWords):
			return context.Canceled
		}
	}
	if err != nil {
		return fmt.Errorf("write to the standard output: %w", err)
	}
	return nil
}
