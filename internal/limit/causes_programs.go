package limit

// ofPrograms are bounds that a program has set for itself: no setting of the kernel lifts them.
func ofPrograms() []OtherCause {
	return append(serverBounds(), []OtherCause{
		{
			Program: "Docker", Texts: []string{"port is already allocated"},
			Means:  "another container publishes this port on the same address",
			Look:   "docker ps --format '{{.Names}} {{.Ports}}'",
			Source: "daemon/libnetwork/portallocator AllocateInRange",
		}, {
			Program: "PostgreSQL",
			Texts: []string{"sorry too many clients already",
				"remaining connection slots are reserved"},
			Means: "max_connections sessions are open; each is a process of its own, " +
				"so a pool (PgBouncer) before it serves more clients than a " +
				"higher number",
			Look:   "SHOW max_connections; select count(*) from pg_stat_activity",
			Source: "src/backend/storage/lmgr/proc.c InitProcess",
		}, {
			Program: "MySQL", Texts: []string{"too many connections"},
			Means: "max_connections sessions are open",
			Look: "SHOW VARIABLES LIKE 'max_connections'; SHOW STATUS LIKE " +
				"'Threads_connected'",
			Source: "MySQL Reference Manual, B.3.2.5 Too many connections",
		}, {
			Program: "Redis", Texts: []string{"max number of clients reached"},
			Means: "maxclients connections are open; at its start it takes fewer " +
				"where the limit of descriptors is lower",
			Look:   "redis-cli CONFIG GET maxclients; INFO clients",
			Source: "src/networking.c acceptCommonHandler",
			Limits: []string{string(ProcessFiles)},
		}, {
			Program: "MongoDB", Texts: []string{"refused because too many open " +
				"connections"},
			Means:  "net.maxIncomingConnections, or 80 % of the limit of descriptors",
			Look:   "db.serverStatus().connections; LimitNOFILE of the unit",
			Source: "MongoDB manual, net.maxIncomingConnections",
			Limits: []string{string(ProcessFiles)},
		}, {
			Program: "PgBouncer", Texts: []string{"no more connections allowed max " +
				"client conn"},
			Means:  "max_client_conn clients are connected",
			Look:   "SHOW CONFIG; SHOW CLIENTS",
			Source: "src/objects.c accept_client",
		}, {
			Program: "OpenSSH",
			Texts: []string{"beginning MaxStartups throttling", "past MaxStartups",
				"exited MaxStartups throttling"},
			Means: "more connections have not logged in yet than MaxStartups allows: " +
				"sshd closes new ones before they say anything",
			Look:   "sshd -T | grep -i maxstartups; who connects without logging in",
			Source: "sshd.c should_drop_connection",
		},
	}...)
}

// serverBounds are those of web servers, proxies and what runs behind them.
func serverBounds() []OtherCause {
	return []OtherCause{
		{
			Program: "nginx", Texts: []string{"worker_connections are not enough"},
			Means: "a worker has worker_connections connections open, those to " +
				"upstreams included: a proxied client takes two",
			Look: "nginx -T | grep -E " +
				"'worker_(connections|processes|rlimit_nofile)'; " +
				"raise worker_connections, and worker_rlimit_nofile above it",
			Source: "src/core/ngx_connection.c ngx_get_connection",
			Limits: []string{string(ProcessFiles)},
		}, {
			Program: "nginx",
			Texts: []string{"upstream timed out … while reading response header",
				"upstream timed out … while reading upstream",
				"upstream timed out … while sending request"},
			Means: "nginx gave up after proxy_read_timeout or proxy_send_timeout: " +
				"the connection stood, the upstream did not answer in time",
			Look:   "why the upstream is slow; maxconn check on its host",
			Source: "src/http/ngx_http_upstream.c ngx_http_upstream_next",
		}, {
			Program: "HAProxy", Texts: []string{"reached the configured maximum " +
				"connection count"},
			Means:  "maxconn of the global section, or of that proxy, is reached",
			Look:   "show info (Maxconn, CurrConns) on the stats socket",
			Source: "src/listener.c listener_accept",
		}, {
			Program: "Apache", Texts: []string{"server reached MaxRequestWorkers " +
				"setting", "server reached MaxClients setting"},
			Means: "all workers serve a connection; further ones wait in the accept " +
				"queue until it overflows",
			Look:   "MaxRequestWorkers, ServerLimit, KeepAliveTimeout; server-status",
			Source: "server/mpm/event/event.c perform_idle_server_maintenance",
			Limits: []string{string(AcceptQueue)},
		}, {
			Program: "PHP-FPM", Texts: []string{"server reached pm max_children " +
				"setting", "server reached max_children setting"},
			Means: "all workers serve a request; further connections wait in its " +
				"accept queue until it overflows",
			Look: "pm.max_children, listen.backlog of the pool",
			Source: "sapi/fpm/fpm/fpm_process_ctl.c " +
				"fpm_pctl_perform_idle_server_maintenance",
			Limits: []string{string(AcceptQueue)},
		}, {
			Program: "Envoy", Texts: []string{"reset reason overflow"},
			Means: "a circuit breaker: max_connections, max_pending_requests or " +
				"max_requests of the cluster",
			Look:   "cluster.NAME.upstream_cx_overflow, upstream_rq_pending_overflow",
			Source: "source/common/upstream/upstream_impl.cc",
		},
	}
}
