// Package sysctld reads sysctl.d files and /etc/sysctl.conf as the programs do that apply
// them, and finds the line that has the last word on a key. It is pure: a root directory
// comes in as an fs.FS, a Tree goes out.
//
// The rules, each measured against the real programs in this package's tests:
//
//   - All read sysctl.d of /etc, /run, /usr/local/lib, /usr/lib and /lib; a file masks
//     those of the same name in later directories (so does a link to /dev/null, an empty
//     file, or one that leads nowhere); then the order is that of the file names, byte by
//     byte, whatever the directory.
//   - systemd-sysctl keeps one value a key, the last; a line "-key" without a value removes
//     what earlier lines said. It does not read /etc/sysctl.conf (since v207) but through a
//     link of sysctl.d, such as Debian's 99-sysctl.conf. The credential sysctl.extra comes
//     last of all (src/sysctl/sysctl.c run).
//   - procps "sysctl --system" writes all lines in turn, the last stays; "-key" without a
//     value only keeps globs away. It reads /etc/sysctl.conf last (src/sysctl.c
//     PreloadSystem). That is procps 4; 3.3 expands no globs, and took /run before /etc up
//     to 3.3.16.
//   - In both, a line that names a key in full stands before every glob, in whatever order
//     they come (systemd since v245; before, a glob was a line for each key it matched).
//   - TuneD, after its own settings and unless reapply_sysctl=0, writes again what /run,
//     /etc and, last, /etc/sysctl.conf say, and nothing of /usr/lib
//     (tuned/plugins/plugin_sysctl.py _apply_system_sysctl).
//
// All functions are safe for concurrent use; a Tree is not changed by any.
package sysctld
