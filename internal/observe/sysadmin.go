package observe

import (
	"bytes"
	"os"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// capSysAdmin is CAP_SYS_ADMIN (include/uapi/linux/capability.h).
const capSysAdmin = 21

// wholeMap is /proc/PID/uid_map of the initial user namespace (kernel/user.c init_user_ns).
const wholeMap = "0 0 4294967295"

// sysadmin says whether the process passes capable(CAP_SYS_ADMIN), which asks for it in the
// initial user namespace: root of a container with a user namespace of its own has the bit
// and does not pass.
func sysadmin(f host.Fields, p *procfs.Process, status procfs.Status) host.Fields {
	switch {
	case !status.Capable:
		return f
	case status.Capabilities>>capSysAdmin&1 == 0:
		return f.Add("sysadmin", "no")
	}
	ids, err := p.Read("uid_map")
	switch {
	case err != nil:
		return f // not known
	case string(bytes.Join(bytes.Fields(ids), []byte(" "))) == wholeMap:
		return f.Add("sysadmin", "yes")
	}
	return f.Add("sysadmin", "no")
}

// Administrator says whether this process passes capable(CAP_SYS_ADMIN); false where that
// is unknown.
func Administrator() bool {
	p, err := procfs.Root("").Open(os.Getpid())
	if err != nil {
		return false
	}
	defer p.Close()
	status, err := p.Status()
	if err != nil {
		return false
	}
	passes, _ := sysadmin(nil, p, status).Lookup("sysadmin")
	return passes == "yes"
}
