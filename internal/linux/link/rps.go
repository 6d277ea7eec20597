//go:build linux

package link

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// steering answers whether receive packet steering is on, from sysfs. A sysfs shows
// the devices of the namespace in which it was mounted, in every process that reads it
// (fs/sysfs/mount.c sysfs_init_fs_context), so another namespace's eth0 may stand
// there. It is believed only when it shows exactly the devices at hand, by name,
// and the device by index and address: those of two containers are often alike.
type steering struct {
	root string // where sysfs is mounted
	ours bool
}

func newSteering(root string, devices []Device) steering {
	want := make([]string, len(devices))
	for i, d := range devices {
		want[i] = d.Name
	}
	slices.Sort(want)
	return steering{root, slices.Equal(want, classNet(root))}
}

// classNet lists the devices in sysfs, sorted. Other files there (bonding_masters)
// are not links.
func classNet(root string) []string {
	entries, err := os.ReadDir(filepath.Join(root, "class/net"))
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e.Type()&os.ModeSymlink != 0 {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names
}

// on is nil when sysfs cannot be read or shows another device of that name.
func (s steering) on(d Device) *bool {
	dir := filepath.Join(s.root, "class/net", d.Name)
	if !s.ours || !says(dir, "ifindex", strconv.Itoa(d.Index)) ||
		!says(dir, "address", d.Hardware) {
		return nil
	}
	masks, err := filepath.Glob(filepath.Join(dir, "queues/rx-*/rps_cpus"))
	if err != nil || len(masks) == 0 {
		return nil
	}
	on := false
	for _, file := range masks {
		mask, err := os.ReadFile(file)
		if err != nil {
			return nil
		}
		on = on || maskSet(string(mask))
	}
	return &on
}

func says(dir, file, want string) bool {
	text, err := os.ReadFile(filepath.Join(dir, file))
	return err == nil && strings.TrimSpace(string(text)) == want
}

// maskSet reports whether a CPU mask such as 00000000,00000003 has a bit set.
func maskSet(mask string) bool {
	return strings.Trim(strings.TrimSpace(mask), "0,") != ""
}
