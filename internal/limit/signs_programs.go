package limit

// programSigns are messages of programs by which a limit shows itself.
func programSigns(id ID) (out []Sign) {
	for _, p := range written() {
		if p.limit == id {
			out = append(out, p.sign)
		}
	}
	return out
}

type programSign struct {
	limit ID
	sign  Sign
}

func written() []programSign {
	return append(append(aboutDescriptors(), aboutThreads()...), []programSign{
		{EphemeralPorts, Sign{
			Text: "connect failed for backend … no free ports",
			Means: "HAProxy: no local port was left for the server, or none of the " +
				"\"source\" range of the configuration",
			Look: "maxconn check --limit ephemeral-ports --limit time-wait",
		}},
		{AcceptQueue, Sign{
			Text: "TCP backlog setting of … cannot be enforced",
			Means: "Redis: it asks for a longer accept queue than net.core.somaxconn " +
				"allows, and gets that many",
			Look: "raise net.core.somaxconn and restart it; maxconn check --limit " +
				"accept-queue",
		}},
		{AcceptQueue, Sign{
			Text: "uWSGI listen queue of socket … full",
			Means: "uWSGI: as many connections wait for accept() as the queue holds " +
				"(\"listen\", capped by net.core.somaxconn); its workers are busy",
			Look: "maxconn check --limit accept-queue",
		}},
		{CgroupMemory, Sign{
			Text: "OOMKilled",
			Means: "a container was at its memory limit and the kernel killed a " +
				"process in it; sockets and their buffers count in it",
			Look: "maxconn check --limit cgroup-memory; memory.events of that cgroup",
		}},
		{CgroupMemory, Sign{
			Text: "failed with result oom-kill",
			Means: "a unit was at MemoryMax, or the host out of memory, and the " +
				"kernel killed a process of it",
			Look: "maxconn check --limit cgroup-memory --limit connection-memory",
		}},
		{CgroupMemory, Sign{
			Text:  "has been killed by the OOM killer",
			Means: "the same, as systemd says it",
			Look:  "maxconn check --limit cgroup-memory --limit connection-memory",
		}},
		{SYNQueue, Sign{
			Text: "TCP: drop open request from",
			Means: "tcp_syncookies is 0 and three quarters of tcp_max_syn_backlog " +
				"half-open connections are there: the SYN was dropped",
			Look: "maxconn check --limit syn-queue --for 10s",
		}},
		{SystemFiles, Sign{
			Text: "reached system FD limit",
			Means: "HAProxy: accept() returned ENFILE, the host has fs.file-max " +
				"files open",
			Look: "maxconn check --limit system-files",
		}},
		{ConnectionMemory, Sign{
			Text:  "reached system memory limit",
			Means: "HAProxy: accept() returned ENOBUFS or ENOMEM",
			Look:  "maxconn check --limit connection-memory --limit cgroup-memory",
		}},
	}...)
}

func aboutThreads() []programSign {
	return []programSign{
		{Threads, Sign{
			Text: "max virtual memory areas vm.max_map_count … is too low",
			Means: "Elasticsearch: vm.max_map_count is below what it asks for; each " +
				"thread takes two of these mappings as well",
			Look: "sysctl vm.max_map_count",
		}},
		{Threads, Sign{
			Text: "failed to create new OS thread … errno=11",
			Means: "the Go runtime was refused a thread, mostly by pids.max of a " +
				"cgroup (TasksMax) or RLIMIT_NPROC",
			Look: "maxconn check --limit threads",
		}},
		{Threads, Sign{
			Text: "pthread_create failed … EAGAIN",
			Means: "a JVM was refused a thread: a limit on tasks, or " +
				"vm.max_map_count or memory for its stack",
			Look: "maxconn check --limit threads",
		}},
		{Threads, Sign{
			Text: "unable to create new native thread",
			Means: "an older JVM was refused a thread: a limit on tasks or mappings " +
				"more often than memory",
			Look: "maxconn check --limit threads",
		}},
	}
}

// aboutDescriptors are the many ways in which programs say that they may open too few files.
func aboutDescriptors() (out []programSign) {
	const look = "maxconn check --limit process-files"
	for _, s := range []Sign{
		{Text: "reached process FD limit", Means: "HAProxy: it has maxsock descriptors " +
			"open, which follows from maxconn and ulimit-n"},
		{Text: "cannot raise FD limit to", Means: "HAProxy: the hard RLIMIT_NOFILE is " +
			"below what maxconn asks for"},
		{Text: "FD limit … too low for maxconn", Means: "HAProxy: RLIMIT_NOFILE is below " +
			"what maxconn asks for"},
		{Text: "worker_connections exceed open file resource limit", Means: "nginx: " +
			"worker_connections is above RLIMIT_NOFILE; set worker_rlimit_nofile"},
		{Text: "requiring at least … max file descriptors", Means: "Redis: maxclients " +
			"asks for more than RLIMIT_NOFILE"},
		{Text: "can't set maximum open files to", Means: "Redis: the hard RLIMIT_NOFILE " +
			"is below what maxclients asks for"},
		{Text: "unable to set the max number of files limit", Means: "Redis: the hard " +
			"RLIMIT_NOFILE is below what maxclients asks for"},
		{Text: "could not increase number of max_open_files", Means: "MySQL: the hard " +
			"RLIMIT_NOFILE is below open_files_limit; it runs with fewer connections"},
		{Text: "changed limits: max_open_files", Means: "MySQL: the hard RLIMIT_NOFILE " +
			"is below what it asks for"},
		{Text: "max file descriptors … is too low", Means: "Elasticsearch: RLIMIT_NOFILE " +
			"is below what it asks for"},
		{Text: "running out of filedescriptors", Means: "Squid: RLIMIT_NOFILE is nearly " +
			"used up"},
		{Text: "open files: cannot modify limit", Means: "ulimit -n: the wanted value is " +
			"above the hard limit, and CAP_SYS_RESOURCE is missing"},
		{Text: "failed to set the NOFILE resource limit", Means: "prlimit: the wanted " +
			"value is above the hard limit and CAP_SYS_RESOURCE is missing, or above " +
			"fs.nr_open"},
		{Text: "socket.accept() out of system resource", Means: "Python asyncio: " +
			"accept() " +
			"returned EMFILE, ENFILE, ENOBUFS or ENOMEM, the first by far most often"},
	} {
		s.Look = look
		out = append(out, programSign{ProcessFiles, s})
	}
	return out
}
