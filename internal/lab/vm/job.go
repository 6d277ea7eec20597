//go:build linux

package vm

// job is what the machine's init does, as JSON in the initramfs.
type job struct {
	Secret  string       `json:"secret"` // what the kernel's command line says, too
	Argv    []string     `json:"argv"`
	Env     []string     `json:"env"`
	Modules []moduleFile `json:"modules"` // in this order
	Disk    bool         `json:"disk"`
}

type moduleFile struct {
	Name   string `json:"name"`
	Params string `json:"params"`
	File   string `json:"file"`
}

// Places in the machine.
const (
	initPath   = "/init" // the kernel's default (init/main.c ramdisk_execute_command)
	jobPath    = "/vm/job.json"
	modulePath = "/vm/modules"
	diskMount  = "/vm/disk"
	diskDevice = "/dev/vda"
	portName   = "maxconn" // of the virtio port that carries frames
)

// persistent are the directories that a Disk keeps.
func persistent() []string { return []string{"etc", "var"} }

// roleEnv makes the first process of a machine its init. The kernel turns parameters that it does
// not know into the environment of init (init/main.c unknown_bootoption). The value is init and a
// secret, which the job in the initramfs has as well.
const (
	roleEnv  = "MAXCONN_VM_ROLE"
	roleInit = "init"
)
