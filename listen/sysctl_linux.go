package listen

import (
	"os"
	"strconv"
	"strings"
)

// sysctl reads a number, in the network namespace of the calling thread.
func sysctl(path string) int {
	text, err := os.ReadFile("/proc/sys/" + path)
	if err != nil {
		return Unknown
	}
	return parseNumber(string(text))
}

// parseNumber reads one number that is not negative; anything else is Unknown.
func parseNumber(text string) int {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 0 {
		return Unknown
	}
	return n
}

func somaxconn() int { return sysctl("net/core/somaxconn") }

func migrateReq() int { return sysctl("net/ipv4/tcp_migrate_req") }
