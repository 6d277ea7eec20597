package knob

// files are settings of descriptors.
var files = []Knob{
	{
		Name:    "fs.nr_open",
		Takes:   one(between(64, 2147483584)),
		Default: always(1048576),
		Does: "bounds the hard limit on descriptors (RLIMIT_NOFILE) that a process may " +
			"be given: a value above it is refused with EPERM, to root as well; acts " +
			"on the next setrlimit()",
		Not: "does not raise any process's limit by itself, does not bound the open " +
			"files of the host; is 1,073,741,816 where systemd 240 or newer runs, " +
			"which raises it at boot",
		Source: "kernel/sys.c do_prlimit; fs/file.c sysctl_nr_open (4.4-6.18)",
		Plan:   plan(64, mostOpen, "process-files"),
	},
	{
		Name:    "fs.file-max",
		Takes:   one(unsigned),
		Default: computed(tenthOfMemory),
		Does: "bounds the open files of the host (ENFILE); the next open file sees the " +
			"change; the count that is compared leaves out what the CPUs have not " +
			"added up yet, so up to 32 files a CPU more may be open (twice the " +
			"number of CPUs each where there are more than 16)",
		Not: "has nothing to do with the limit of a process (EMFILE): does not raise the " +
			"descriptor limit of any process, nor fs.nr_open",
		Source: "fs/file_table.c alloc_empty_file, files_maxfiles_init (4.4-6.18); " +
			"lib/percpu_counter.c compute_batch_value",
		InUse: OpenFiles,
		Plan:  plan(8192, mostFiles, "system-files"),
	},
	{
		Name:  "fs.file-nr",
		Takes: shown(),
		Does: "shows open files, 0, and fs.file-max; the first lags behind by up to 32 " +
			"files a CPU, and so does what is compared with fs.file-max: the kernel " +
			"counts exactly only once that has reached it",
		Not:    "cannot be written: the ceiling is fs.file-max",
		Source: "fs/file_table.c proc_nr_files (mode 0444)",
	},
	{
		Name:    "fs.epoll.max_user_watches",
		Takes:   one(unsigned),
		Default: computed(epollWatches),
		Does: "bounds the descriptors that all epoll instances of one real user hold, " +
			"over all processes (ENOSPC from epoll_ctl()); the next epoll_ctl() sees " +
			"the change",
		Not:    "does not touch watches that exist; poll() and select() do not count",
		Source: "fs/eventpoll.c ep_insert, eventpoll_init (4.4-6.18)",
		Plan:   plan(8192, mostInt, "epoll-watches"),
	},
	{
		Name:   "fs.inotify.max_user_watches",
		Takes:  one(anyInt),
		Does:   "bounds watched files and directories of a user",
		Not:    "has nothing to do with connections: it never counts sockets",
		Source: "fs/notify/inotify/inotify_user.c inotify_new_watch",
		Aside:  true,
	},
	{
		Name:  "fs.inode-max",
		Until: Since(2, 4),
		Does: "bounded the inodes in memory, long ago; today inodes have no limit but " +
			"memory",
		Source: "proc(5) /proc/sys/fs/inode-max",
		Never:  "it is gone",
	},
	{
		Name:    "kernel.threads-max",
		Takes:   one(between(20, 1073741823)),
		Default: computed(threadsMax),
		Does:    "bounds all tasks of the host; the next clone() sees the change",
		Not:     "does not raise kernel.pid_max or a cgroup's pids.max",
		Source:  "kernel/fork.c copy_process, set_max_threads (4.4-6.18)",
		InUse:   Tasks,
		Plan:    plan(20, mostThreads, "threads"),
	},
	{
		Name:    "kernel.pid_max",
		Takes:   one(between(301, 4194304)),
		Default: computed(pidMax),
		Does: "is one above the highest pid; every thread needs one, and after the first " +
			"wrap 1 to 299 are not given out again; the next clone() sees the " +
			"change; since Linux 6.14 one for each pid namespace, those above still " +
			"bind",
		Not:    "does not bind alone: threads-max and pids.max still do",
		Source: "kernel/pid.c alloc_pid, pid_idr_init (4.4-6.18), 7863dcc72d0f (6.14)",
		InUse:  Tasks,
		Plan:   plan(301, mostPIDs, "threads"),
	},
	{
		Name:    "user.max_net_namespaces",
		Since:   Since(4, 9),
		Takes:   one(atLeast(0)),
		Default: words("half of threads-max"),
		Does: "bounds the network namespaces that a user may make in this user " +
			"namespace; " +
			"above it unshare() and clone() fail with ENOSPC, and so do containers; " +
			"each user namespace has a value of its own, bound by those of its " +
			"ancestors",
		Not: "does not bound connections: each namespace has ports and tables of its " +
			"own",
		Source: "kernel/ucount.c inc_ucount; net/core/net_namespace.c copy_net_ns",
		Aside:  true,
	},
	{
		Name:    "vm.max_map_count",
		Takes:   one(atLeast(0)),
		Default: always(65530),
		Does: "bounds the mappings of one process; a thread of glibc 2.36 takes two, its " +
			"stack and the guard page (measured); the next mmap() sees the change",
		Not: "does not bound memory",
		Source: "mm/mmap.c do_mmap (4.4-6.18); include/linux/mm.h DEFAULT_MAX_MAP_COUNT; " +
			"Documentation/admin-guide/sysctl/vm.rst",
		Plan: plan(1, mostInt, "threads"),
	},
	{
		Name:  "RLIMIT_NOFILE hard",
		Field: "process#hard",
		After: []string{"fs.nr_open"},
		Does: "bounds the soft limit; raising it needs CAP_SYS_RESOURCE in the initial " +
			"user namespace, lowering it nothing",
		Not:    "root in a container without that capability gets EPERM (measured)",
		Source: "kernel/sys.c do_prlimit",
		Plan:   plan(1, mostOpen, "process-files"),
	},
	{
		Name:  "RLIMIT_NOFILE soft",
		Also:  []string{"RLIMIT_NOFILE", "nofile"},
		Field: "process#soft",
		After: []string{"RLIMIT_NOFILE hard"},
		Does: "bounds the descriptors of one process; prlimit(1) changes it on a running " +
			"process for the next descriptor; up to the hard limit without privilege " +
			"for the same user",
		Not:    "is not shared: a forked worker has a copy of its own",
		Source: "kernel/sys.c do_prlimit, fs/file.c alloc_fd",
		Plan:   plan(1, mostOpen, "process-files"),
	},
	{
		Name:    "LimitNOFILE",
		Also:    []string{"DefaultLimitNOFILE"},
		Default: words("DefaultLimitNOFILE, 1024:524288"),
		Does: "is the limit that systemd gives to a service at its start, " +
			"\"soft:hard\" or one value for both",
		Not: "does not touch a running service; a scope unit (containers, login " +
			"sessions) has none",
		Source: "systemd.exec(5), systemd-system.conf(5)",
	},
	{
		Name: "limits.conf",
		Does: "sets limits for login sessions through pam_limits, at the next login; * " +
			"does not include root",
		Not:    "does not act on systemd services",
		Source: "limits.conf(5)",
	},
	{
		Name:   "ulimit -n",
		Does:   "sets soft and hard limit of a shell and of what it starts afterwards",
		Not:    "does not change processes that run",
		Source: "getrlimit(2): limits are inherited by fork()",
	},
	{
		Name:   "worker_rlimit_nofile",
		Does:   "makes nginx set RLIMIT_NOFILE of its workers when they start",
		Not:    "does not raise worker_connections, which bounds a worker as well",
		Source: "nginx core module, worker_rlimit_nofile",
	},
	{
		Name:    "worker_connections",
		Default: words("512"),
		Does: "bounds the connections of one nginx worker, to clients and backends " +
			"together, its listeners included; nginx -s reload has it read again",
		Not:    "does not raise RLIMIT_NOFILE, which bounds a worker as well",
		Source: "nginx src/event/ngx_event.c DEFAULT_CONNECTIONS",
	},
	{
		Name: "pids.max",
		Also: []string{"TasksMax", "DefaultTasksMax", "--pids-limit", "pids_max"},
		Default: words("15 % of the host's, which systemd sets as TasksMax " +
			"(4,915 where pid_max is 32768)"),
		Does: "bounds the tasks of a cgroup and all below it; the next clone() sees " +
			"the change",
		Not: "does not stop what runs when it is lowered",
		Source: "kernel/cgroup/pids.c pids_can_fork; systemd-system.conf(5) " +
			"DefaultTasksMax=",
	},
	{
		Name:    "RLIMIT_NPROC",
		Also:    []string{"LimitNPROC", "nproc", "ulimit -u"},
		Default: words("half of threads-max"),
		Does: "bounds the tasks of the real user when a process of his calls clone(), " +
			"since Linux 5.14 in each user namespace by itself; prlimit --nproc " +
			"changes it on a running process",
		Not:    "does not bind root",
		Source: "kernel/fork.c copy_process, fork_init; d64696905554 (5.14)",
	},
}
