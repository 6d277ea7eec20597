package persist

import "github.com/maxconn/maxconn/internal/plan"

// linkFiles are udev rules, one file a device, whose name plan.IsDevice has accepted: it holds
// nothing that leads to another directory or is a pattern of udev.
func (w work) linkFiles() (files []File) {
	for _, c := range w.links {
		dev, to := c.Target.Name, c.To
		match := `=="` + plain(dev) + `", `
		files = append(files, File{
			Path: rulesPrefix + dev + ".rules", Mode: 0o644,
			Content: file(
				comment(c.Limit+": "+c.Why),
				"# Two lines: a device that is renamed has its name in NAME and, in the event of the renaming, in KERNEL.\n",
				`ACTION=="add|move", SUBSYSTEM=="net", NAME`+match+`ATTR{tx_queue_len}="`+plain(
					to,
				)+"\"\n",
				`ACTION=="add|move", SUBSYSTEM=="net", KERNEL`+match+`NAME=="", ATTR{tx_queue_len}="`+plain(
					to,
				)+"\"\n",
			),
			Why:   "sets txqueuelen of " + dev + " to " + to + " when the device appears, at each boot",
			Keeps: []plan.Target{c.Target},
		})
	}
	return files
}
