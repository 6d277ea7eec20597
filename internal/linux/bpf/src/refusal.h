/* What the programs of a trace share: one record for each kind of refusal, place and process, which
 * counts. Records that no longer change are removed by the reader; what did not fit is counted.
 */
#include "kernel.h"

struct key {
	u32 kind;
	u32 reason; /* errno, or number of the drop reason, or of the system call */
	u32 netns;  /* inode number */
	u32 pid;    /* 0: not known here */
	u32 inode;  /* of the socket, where its holder has to be looked up */
	u16 family, source_port, destination_port, pad;
	u8 source[16], destination[16];
};

struct value {
	u64 count, first, last; /* nanoseconds since boot */
	u64 cgroup;		/* number of the socket's or process's cgroup of version 2 */
	u64 used, most;		/* of a listener: connections in its queue, and its backlog */
	u8 peer[16];		/* the last client */
	u16 peer_port, pad[3];
	u8 comm[16];
};

/* Kinds of refusal, in the order of kinds in ../refusals.go. */
enum {
	NO_PORT = 1,	/* connect: no port of the range is free to this destination */
	PORT_TAKEN,	/* connect: the bound port has this destination already */
	CONNECT_ERROR,	/* connect: an answer, or none, ended it */
	CONNECT_REPEAT, /* connect: the SYN is sent again */
	ACCEPT_QUEUE,	/* listener: the final ACK of a handshake is dropped */
	SYNACK_REPEAT,	/* listener: the SYN-ACK is sent again */
	DROPPED,	/* a segment is dropped for another reason that is wanted */
	NO_FILE,	/* a system call finds no descriptor */
	KINDS,
};

struct {
	int (*type)[1]; /* BPF_MAP_TYPE_HASH */
	struct key *key;
	struct value *value;
	int (*max_entries)[4096];
} refusals SEC(".maps");

struct total { u64 counted, lost; };
struct {
	int (*type)[2]; /* BPF_MAP_TYPE_ARRAY */
	u32 *key;
	struct total *value;
	int (*max_entries)[KINDS];
} totals SEC(".maps");

const volatile u32 only; /* this network namespace alone; 0: all */

/* The pid namespace of the reader. */
const volatile u32 pid_level, pid_space;

/* process is the current one's number there; 0 for one that is not in it. */
INLINE u32 process(void)
{
	struct task_struct *task = bpf_get_current_task();
	struct pid *pid = READ(READ(task, signal), pids[1]); /* PIDTYPE_TGID */
	struct upid *there = numbered(pid, pid_level);

	if (READ(pid, level) < pid_level || READ(READ(there, ns), ns.inum) != pid_space)
		return 0;
	return READ(there, nr);
}

INLINE int wanted(struct key *k) { return !only || k->netns == only; }

INLINE void zero(struct value *v) { __builtin_memset(v, 0, sizeof(*v)); }

/* count enters one refusal; v has all but count and times. */
INLINE void count(struct key *k, struct value *v)
{
	u32 kind = k->kind;
	struct total *sum = bpf_map_lookup_elem(&totals, &kind);
	struct value *old;

	if (!sum)
		return;
	v->count = 1;
	v->first = v->last = bpf_ktime_get_ns();
	old = bpf_map_lookup_elem(&refusals, k);
	if (!old) {
		/* BPF_NOEXIST: another processor may have been first */
		if (!bpf_map_update_elem(&refusals, k, v, 1)) {
			__sync_fetch_and_add(&sum->counted, 1);
			return;
		}
		old = bpf_map_lookup_elem(&refusals, k);
	}
	if (!old) {
		__sync_fetch_and_add(&sum->lost, 1);
		return;
	}
	__sync_fetch_and_add(&sum->counted, 1);
	__sync_fetch_and_add(&old->count, 1);
	old->last = v->last;
	old->used = v->used;
	old->most = v->most;
	old->peer_port = v->peer_port;
	__builtin_memcpy(old->peer, v->peer, sizeof(v->peer));
}

/* address copies one of IPv4 as ::ffff:a.b.c.d. */
INLINE void mapped(u8 *to, u32 address)
{
	to[10] = to[11] = 0xff;
	__builtin_memcpy(to + 12, &address, 4);
}

/* local fills in the socket's own address, and remote the other end's. */
INLINE void local(struct key *k, struct sock *sk)
{
	struct in6_addr six;

	k->family = sk->__sk_common.skc_family;
	if (k->family == AF_INET6) {
		six = READ(sk, __sk_common.skc_v6_rcv_saddr);
		__builtin_memcpy(k->source, &six, 16);
	} else {
		mapped(k->source, sk->__sk_common.skc_rcv_saddr);
	}
}

INLINE void remote(u8 *to, struct sock *sk, u16 family)
{
	struct in6_addr six;

	if (family == AF_INET6) {
		six = READ(sk, __sk_common.skc_v6_daddr);
		__builtin_memcpy(to, &six, 16);
	} else {
		mapped(to, READ(sk, __sk_common.skc_daddr));
	}
}

INLINE u16 swapped(u16 n) { return n << 8 | n >> 8; }

/* holder fills in what tells whose a socket is. */
INLINE void holder(struct key *k, struct value *v, struct sock *sk)
{
	k->inode = READ(READ(READ(sk->sk_socket, file), f_inode), i_ino);
	v->cgroup = READ(READ(READ(sk, sk_cgrp_data.cgroup), kn), id);
}
