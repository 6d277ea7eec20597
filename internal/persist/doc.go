// Package persist makes what a plan changed last: the files that a host needs so that the
// values are there again after the next boot, and who would win at that boot. It is pure: a
// root directory comes in as an fs.FS, files go out as data; package apply writes them.
//
// What is written, and why it is that:
//
//   - One sysctl.d file, zz-maxconn.conf. The order is by file name over all directories,
//     so 99-anything loses to the k8s.conf or local.conf that many hosts have; a name that
//     begins with zz comes behind all of them. It cannot help against /etc/sysctl.conf
//     where procps or TuneD reads that last: Claims says so, and does not count such a
//     value as done.
//   - A drop-in for the unit of a process whose descriptor limit was raised, never below
//     what the unit has.
//   - A udev rule for txqueuelen. A .link file could do it too (TransmitQueueLength=,
//     systemd 248), but the first .link file that matches is the only one that is applied,
//     so an own one would put 99-default.link or netplan's out of force, and with them the
//     device's name; and OriginalName= matches the kernel's name, not the one that the
//     device runs under (systemd.link(5)). A rule adds to what there is, matches the
//     present name, and works with every udev.
//   - modules-load.d and modprobe.d for connection tracking, whose sysctls are there only
//     once nf_conntrack is loaded; systemd-sysctl runs after systemd-modules-load.
//   - A unit that runs "maxconn verify --boot" once everything else has had its say.
//
// Package export hands the same files to other tools, under other names; see Options.About.
//
// Never rc.local: systemd runs it only where it is executable, and then beside the other
// units.
package persist
