package observe_test

import (
	"testing"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
)

func TestMain(m *testing.M) {
	lab.Main()
	childMain()
	nstest.Main(m)
}
