package limit

// elsewhere are errnos that have nothing to do with the limit that they usually stand for, as the
// call or the kind of socket or file tells.
func elsewhere() []OtherCause {
	return append(otherFiles(), []OtherCause{
		{
			Errno: "EADDRNOTAVAIL", Call: "bind listen",
			Means: "the address is not one of this host, or of this network " +
				"namespace: a typing error, a device that is not up yet at boot, " +
				"a floating address that another host has, an IPv6 address where " +
				"IPv6 is off or duplicate address detection goes on. No port is " +
				"short",
			Look: "ip -br address; net.ipv4.ip_nonlocal_bind=1 lets a program bind " +
				"to an address that comes later",
			Source: "net/ipv4/af_inet.c __inet_bind; net/ipv6/af_inet6.c __inet6_bind",
		}, {
			Errno: "EADDRNOTAVAIL", Call: "connect", Given: ownPort,
			Means: "the program asked for this local port itself, and a connection " +
				"with the same four numbers (both addresses, both ports) is " +
				"there: open, or in TIME_WAIT for up to 60 s after this side " +
				"closed it. No port of ip_local_port_range is short",
			Look: "ss -tan for that local port; let the kernel choose the port " +
				"(port 0), or wait until the old connection is gone",
			Source: "net/ipv4/inet_hashtables.c __inet_check_established",
		}, {
			Errno: "EADDRINUSE", Call: "bind listen", Given: unixSocket,
			Means: "the file of a Unix socket is there already, left by a program " +
				"that ended without removing it, or in use by one that runs. " +
				"No TCP port is concerned",
			Look:   "ss -lxp; remove the file if no process listens on it",
			Source: "net/unix/af_unix.c unix_bind_bsd",
		}, {
			Errno: "EADDRINUSE", Call: "bind listen", Given: datagram,
			Means:  "another UDP socket has this port; TCP ports are apart",
			Look:   "ss -aunp",
			Source: "net/ipv4/udp.c udp_lib_get_port",
		},
	}...)
}

// messagesElsewhere are lines of logs that stand for no limit of the catalogue.
func messagesElsewhere() []OtherCause {
	return []OtherCause{
		{
			Texts: []string{"socket: no more sockets"},
			Errno: "ENFILE",
			Means: "the kernel had no memory for a socket's inode, and socket() gave " +
				"ENFILE. It is not fs.file-max: a higher one does not help",
			Look:   "dmesg for out of memory; the memory limit of the cgroup; slabtop",
			Source: "net/socket.c __sock_create (sock_alloc)",
			Limits: []string{string(CgroupMemory), string(ConnectionMemory)},
		}, {
			Errno: "EPERM", Call: "connect bind socket",
			Means: "a program of the host refused the call: a BPF program of the " +
				"cgroup (systemd's SocketBindDeny=, Cilium or Calico of a " +
				"service without a backend, a container runtime), a security " +
				"module, or seccomp. No table is full: a packet that netfilter " +
				"drops makes connect() time out",
			Look: "maxconn check --limit connect-filters; bpftool cgroup tree; " +
				"systemctl show UNIT -p SocketBindDeny; ausearch -m avc",
			Source: "net/ipv4/af_inet.c inet_stream_connect, __inet_bind " +
				"(BPF_CGROUP_RUN_PROG_INET4_CONNECT); net/socket.c " +
				"security_socket_connect",
			Limits: []string{string(ConnectFilters)},
		},
	}
}

// otherFiles are errnos of calls that make no connection.
func otherFiles() []OtherCause {
	return []OtherCause{
		{
			Errno: "ENOSPC", Call: "write open mkdir rename copy sync fsync pwrite",
			Means: "the file system has no blocks or no inodes left, or a quota is " +
				"used up: a full disk",
			Look:   "df -h and df -i for the file's directory",
			Source: "the file system of the file",
		}, {
			Errno: "ENOSPC", Call: "inotify_add_watch", Given: watches,
			Means: "the user watches fs.inotify.max_user_watches files and " +
				"directories with inotify; neither a disk is full nor are " +
				"connections concerned",
			Look:   "sysctl fs.inotify.max_user_watches",
			Source: "fs/notify/inotify/inotify_user.c inotify_new_watch",
		}, {
			Errno: "EMFILE", Call: "inotify_init", Given: watches,
			Means: "the user has fs.inotify.max_user_instances inotify instances " +
				"(mostly so where the message is about watching files), or the " +
				"process is at its limit of descriptors",
			Look:   "sysctl fs.inotify.max_user_instances; ulimit -n",
			Source: "fs/notify/inotify/inotify_user.c inotify_new_group",
			Limits: []string{string(ProcessFiles)},
		}, {
			Errno: "EACCES", Call: "open write mkdir rename",
			Means: "the permissions of a file or directory; no connection is " +
				"concerned",
			Look:   "ls -l, and whose process it is",
			Source: "fs/namei.c inode_permission",
		}, {
			Texts: []string{"sysctl … permission denied", "proc sys … permission " +
				"denied",
				"sysctl … read only file system", "proc sys … read only file " +
					"system",
				"read only file system setting key", "failed to setup sysctl"},
			Means: "the setting cannot be written from here: the user is not root in " +
				"the user namespace that owns the network namespace, or the " +
				"value is the host's and only shown here, read-only, as in a " +
				"child namespace, or a container has /proc/sys mounted read-only",
			Look: "maxconn explain SETTING says whose value it is; write it on the " +
				"host, or give it to the container (docker run --sysctl)",
			Source: "net/sysctl_net.c net_ctl_permissions; fs/proc/proc_sysctl.c",
		}, {
			Texts: []string{"cannot stat proc sys … no such file or directory",
				"proc sys … no such file or directory", "is an unknown key"},
			Means: "this kernel has no such setting, or not in this network " +
				"namespace: it is gone, it came later, or its module is not " +
				"loaded (nf_conntrack, br_netfilter)",
			Look:   "maxconn explain SETTING; lsmod",
			Source: "fs/proc/proc_sysctl.c proc_sys_lookup",
		}, {
			Texts: []string{"sysctl … invalid argument", "proc sys … invalid argument"},
			Means: "the value is out of the bounds that the kernel has for the " +
				"setting, or in the wrong order (a range whose low end is above " +
				"its high end, or below ip_unprivileged_port_start)",
			Look:   "maxconn explain SETTING",
			Source: "kernel/sysctl.c proc_dointvec_minmax",
		},
	}
}
