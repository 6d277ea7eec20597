//go:build linux

package vm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrUnasked says that nobody asked for machines, or that a kernel would have to be fetched, which
// nobody allowed.
var ErrUnasked = errors.New(
	"vm: machines are asked for with MAXCONN_VM=1 (kernels that are in the cache), " +
		"MAXCONN_VM_FETCH=1 or MAXCONN_REQUIRE=vm (fetched where need be)")

// Required says whether the want of a machine is a failure: MAXCONN_REQUIRE names vm.
func Required(env func(string) string) bool {
	return slices.Contains(strings.Split(env("MAXCONN_REQUIRE"), ","), "vm")
}

// Asked gives the kernel of a series to those who boot machines only where the user's
// environment asks for it: tests. Otherwise the error is ErrUnasked, or ErrUnavailable
// where this host cannot run any.
func Asked(ctx context.Context, env func(string) string, series string) (Kernel, error) {
	fetch := Required(env) || env("MAXCONN_VM_FETCH") == "1"
	if !fetch && env("MAXCONN_VM") == "" {
		return Kernel{}, ErrUnasked
	}
	if _, err := findQemu(); err != nil {
		return Kernel{}, err
	}
	if fetch {
		return Fetch(ctx, series)
	}
	kernels, err := Kernels()
	if err != nil {
		return Kernel{}, err
	}
	i := slices.IndexFunc(kernels, func(k Kernel) bool { return k.Series == series })
	if i < 0 {
		return Kernel{}, fmt.Errorf("%w: kernel %s is not in the cache", ErrUnasked, series)
	}
	return kernels[i], nil
}
