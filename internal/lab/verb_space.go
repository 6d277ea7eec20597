//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/linux/tune"
)

type setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func writeSysctl(_ *worker, s setting) (nothing, error) {
	return nothing{}, tune.Sysctl(s.Key, s.Value)
}

func readSysctl(_ *worker, key string) (string, error) {
	name, err := knob.File(key)
	if err != nil {
		return "", fmt.Errorf("%q: %w", key, err)
	}
	text, err := os.ReadFile(knob.Dir + name)
	return strings.TrimSuffix(string(text), "\n"), err
}

type address struct {
	Device string       `json:"device"`
	Prefix netip.Prefix `json:"prefix"`
}

func linkUp(_ *worker, device string) (nothing, error) {
	return nothing{}, tune.LinkUp(device)
}

func addAddress(_ *worker, a address) (nothing, error) {
	return nothing{}, tune.AddAddress(a.Device, a.Prefix)
}
