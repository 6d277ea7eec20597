package persist

import "github.com/maxconn/maxconn/internal/plan"

// linkFiles are udev rules, one file a device.
func (w work) linkFiles() (files []File) {
	for _, c := range w.links {
		dev, to := c.Target.Name, c.To
		files = append(files, File{
			Path: rulesPrefix + dev + ".rules", Mode: 0o644,
			Content: []byte(header + comment(c.Limit+": "+c.Why) +
				"# Two lines: a device that is renamed has its name in NAME and, in the event of the renaming, in KERNEL.\n" +
				`ACTION=="add|move", SUBSYSTEM=="net", NAME=="` + dev + `", ATTR{tx_queue_len}="` + to + "\"\n" +
				`ACTION=="add|move", SUBSYSTEM=="net", KERNEL=="` + dev + `", NAME=="", ATTR{tx_queue_len}="` + to + "\"\n"),
			Why:   "sets txqueuelen of " + dev + " to " + to + " when the device appears, at each boot",
			Keeps: []plan.Target{c.Target},
		})
	}
	return files
}
