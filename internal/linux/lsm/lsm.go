//go:build linux

// Package lsm tells which security modules of the kernel are active.
package lsm

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// names are the modules by their numbers (include/uapi/linux/lsm.h LSM_ID_*, Linux 6.8 and later).
var names = map[uint64]string{100: "capability", 101: "selinux", 102: "smack", 103: "tomoyo",
	104: "apparmor", 105: "yama", 106: "loadpin", 107: "safesetid", 108: "lockdown",
	109: "bpf", 110: "landlock", 111: "ima", 112: "evm", 113: "ipe"}

// Active lists the active modules in their order. sys is where sysfs is mounted; where securityfs
// is not mounted there, the kernel may be asked (lsm_list_modules(2), Linux 6.8).
func Active(sys string, ask bool) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(sys, "kernel/security/lsm"))
	if err == nil {
		return strings.FieldsFunc(strings.TrimSpace(string(text)),
			func(r rune) bool { return r == ',' }), nil
	}
	if ask {
		if asked, listErr := list(); listErr == nil {
			return asked, nil
		}
	}
	return nil, err
}

func list() (out []string, err error) {
	buf := make([]byte, 8*64)
	size := uint32(len(buf))
	n, _, errno := unix.Syscall(unix.SYS_LSM_LIST_MODULES, uintptr(unsafe.Pointer(&buf[0])),
		uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return nil, errno
	}
	for i := range min(int(n), len(buf)/8) {
		id := binary.NativeEndian.Uint64(buf[8*i:])
		name, known := names[id]
		if !known {
			name = strconv.FormatUint(id, 10)
		}
		out = append(out, name)
	}
	return out, nil
}
