package observe

import "github.com/maxconn/maxconn/internal/host"

// aligned calls the rows of the earlier snapshot as the later one does: a row that counts
// events is named by where it stands, "0.0.0.0:80~2" or "eth0", and while it is watched
// another socket or device may come to stand there. Rows of those that are gone are left
// out, so that nothing is taken for a difference that is one between two of them.
func aligned(before, after host.Snapshot) host.Snapshot {
	names := map[host.Kind]map[string]string{}
	for kind, id := range identities() {
		names[kind] = map[string]string{}
		for _, row := range after.Read().Rows(kind) {
			if n, _ := row.Int(id); n != 0 {
				names[kind][row.Text(id)] = row.Name()
			}
		}
	}
	out := host.Snapshot{}
	for _, f := range before.Facts() {
		r, _ := before.Lookup(f)
		switch {
		case r.Err != "":
			out.Miss(f, r.Err)
			continue
		case names[f.Kind] != nil:
			row, _ := before.Read().Row(f.Kind, f.Name)
			name, ok := names[f.Kind][row.Text(identities()[f.Kind])]
			if !ok {
				continue
			}
			f.Name = name
		}
		out.Set(f, r.Text)
	}
	return out
}

// identities are the fields by which a row of a table is known again.
func identities() map[host.Kind]string {
	return map[host.Kind]string{host.ListenerKind: "inode", host.LinkKind: "index",
		host.CgroupKind: "id"}
}
