package prove

import (
	"testing"

	"github.com/maxconn/maxconn/internal/limit"
)

// The fast claims of inbound connections.
func inboundClaims() []string {
	return []string{
		"somaxconn-later", "listen-from-outside", "syn-queue-length",
		"syn-cookies-replace-the-queue", "max-syn-backlog",
		"descriptors-of-a-process", "idle-connections-no-buffers",
		"receive-backlog-length", "txqueuelen", "neighbours-on-the-link", "tasks-of-a-user",
		"small-writes", "idle-connection-memory",
	}
}

func TestMoreThan65535(t *testing.T) {
	if testing.Short() {
		t.Skip("66,000 connections take some seconds: not for -short")
	}
	for _, p := range tried(t, nil, "more-than-65535-on-one-port") {
		if p.Verdict == Differs {
			t.Errorf("%+v", p)
		}
		t.Logf("%s: %s %v of %v, %.2f s", p.ID, p.Verdict, p.Measured, p.Predicted,
			p.Seconds)
	}
}

func TestBrokenInboundFormulasDiffer(t *testing.T) {
	for _, broken := range []struct {
		limit string
		by    int64
	}{{"accept-queue", -1}, {"syn-queue", -1}, {"process-files", 3}} {
		for _, p := range tried(t, offBy(limit.ID(broken.limit), broken.by), broken.limit) {
			if p.ID == "trace-names-the-full-listener" {
				continue // it compares counters, and asks no formula
			}
			if p.Verdict == Holds {
				t.Errorf("%s with %s off by %d holds", p.ID, broken.limit,
					broken.by)
			}
		}
	}
}
