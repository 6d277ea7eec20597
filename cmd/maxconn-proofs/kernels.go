//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/maxconn/maxconn/internal/lab/vm"
	"github.com/maxconn/maxconn/internal/prove"
)

// kernelTime is the longest that one machine may run.
const kernelTime = 15 * time.Minute

// kernelMemory is what a machine has, in MiB: 66,000 connections on one port take 550 of them.
const kernelMemory = 2048

func kernelSeries() string { return strings.Join(vm.Series(), ", ") }

// onKernels runs the claims on other kernels, as many machines at once as there are CPUs.
func (a *app) onKernels(ctx context.Context, series, args []string) ([]prove.Report, error) {
	reports := make([]prove.Report, len(series))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	far := machineProgress{said: make([]string, len(series)), say: a.say}
	for i, s := range series {
		group.Go(func() (err error) {
			progress := far.of(i, s)
			io.WriteString(progress, "boots")
			if reports[i], err = proveKernel(ctx, s, args, progress); err != nil {
				return err
			}
			return again(ctx, s, &reports[i], progress)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, unavailable(err)
	}
	return reports, nil
}

// seriesOf are the kernels asked for, each once.
func seriesOf(names []string) (series []string, err error) {
	if slices.Equal(names, []string{"all"}) {
		return vm.Series(), nil
	}
	for _, n := range names {
		if !slices.Contains(vm.Series(), n) {
			return nil, misuse("kernels are "+kernelSeries()+" and all",
				"--kernels: there is no kernel %s", strconv.Quote(n))
		}
		if !slices.Contains(series, n) {
			series = append(series, n)
		}
	}
	return series, nil
}

// again tries once more, one after the other and each in a machine of its own, what had not the
// quiet it needs.
func again(ctx context.Context, series string, r *prove.Report, progress io.Writer) error {
	for i, p := range r.Proofs {
		if !p.NotQuiet() {
			continue
		}
		second, err := proveKernel(ctx, series, []string{p.ID}, progress)
		if err != nil {
			return err
		}
		if len(second.Proofs) == 1 {
			r.Proofs[i] = second.Proofs[0]
		}
		r.Seconds += second.Seconds
	}
	return nil
}

// proveKernel runs this program in a machine and reads its report.
func proveKernel(ctx context.Context, series string, args []string, progress io.Writer) (
	r prove.Report, err error) {
	kernel, err := vm.Fetch(ctx, series)
	if err != nil {
		return r, err
	}
	out, err := vm.Run(ctx, vm.Spec{
		Kernel: kernel, Args: append([]string{hereVerb, "--"}, args...),
		Modules: prove.Modules(), Memory: kernelMemory, Timeout: kernelTime,
		Stderr: progress,
	})
	if err != nil {
		return r, fmt.Errorf("prove on Linux %s: %w", kernel.Release, err)
	}
	if err := json.Unmarshal(out.Stdout, &r); err != nil {
		return r, fmt.Errorf("prove on Linux %s: exit status %d: %s", kernel.Release,
			out.Code, lastLine(out.Stderr))
	}
	return r, nil
}

// machineProgress is one line about all machines.
type machineProgress struct {
	mu   sync.Mutex
	said []string
	say  func(string)
}

// of takes what one machine says on its standard error: a line for each step.
func (m *machineProgress) of(i int, series string) io.Writer {
	return writerFunc(func(text []byte) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.said[i] = "Linux " + series + ": " + lastLine(text)
		said := slices.DeleteFunc(slices.Clone(m.said), func(s string) bool {
			return s == ""
		})
		m.say("claims tried: " + strings.Join(said, ", "))
	})
}

// writerFunc is a function as a writer.
type writerFunc func([]byte)

func (f writerFunc) Write(text []byte) (int, error) {
	f(text)
	return len(text), nil
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

func unavailable(err error) error {
	if errors.Is(err, vm.ErrUnavailable) {
		return &failure{statusUnknown, err,
			"Debian: apt install qemu-system-x86; or maxconn prove for the " +
				"running kernel"}
	}
	return err
}
