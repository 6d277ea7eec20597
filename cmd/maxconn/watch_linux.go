package main

import (
	"context"

	"github.com/maxconn/maxconn/internal/live"
	"github.com/maxconn/maxconn/internal/live/loop"
	"github.com/maxconn/maxconn/internal/ui/watch"
)

// followed is this host, looked at again and again.
func (a *app) followed(f *watchFlags, k *watch.Keeper) (feed, error) {
	subject, err := f.subject()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, show func(watch.Now)) error {
		state := live.New(live.Options{})
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		var first error
		looped := make(chan struct{})
		go func() {
			defer close(looped)
			loop.New(loop.Options{Subject: subject, All: f.allNetns, Every: f.interval,
				Tape: k}, state).Run(ctx, func(err error) {
				if err != nil && ctx.Err() == nil {
					first = namespaceError(err)
					stop()
				}
			})
		}()
		err := watch.Follow(ctx, state, k, show)
		stop()
		<-looped
		if first != nil {
			return first
		}
		return err
	}, nil
}
