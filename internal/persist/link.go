package persist

import "github.com/maxconn/maxconn/internal/plan"

// linkFiles are udev rules, one file a device, whose name plan.IsDevice has accepted: it holds
// nothing that leads to another directory or is a pattern of udev.
func (b Boot) linkFiles() (files []File) {
	for _, c := range b.Links {
		dev, to := c.Target.Name, c.To
		match := `=="` + plain(dev) + `", `
		set := `ATTR{tx_queue_len}="` + plain(to) + "\"\n"
		files = append(files, File{
			Path: b.paths.rules + dev + ".rules", Mode: 0o644,
			Content: b.file(
				comment(Reason(c)),
				"# Two lines: a device that is renamed has its name in NAME "+
					"and, in the event of the ",
				"renaming, in KERNEL.\n",
				`ACTION=="add|move", SUBSYSTEM=="net", NAME`+match+set,
				`ACTION=="add|move", SUBSYSTEM=="net", KERNEL`+match+`NAME=="", `+
					set,
			),
			Why: "sets txqueuelen of " + dev + " to " + to +
				" when the device appears, at each boot",
			Keeps: []plan.Target{c.Target},
		})
	}
	return files
}
