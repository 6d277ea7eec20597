/* Who holds which TCP socket: every descriptor of every process that the reader's pid namespace
 * has, tables of threads included (kernel/bpf/task_iter.c; iterator of task_file Linux 5.8,
 * bpf_sock_from_file 5.11). Of each table come its TCP sockets, then one record that sums it up.
 */
#include "kernel.h"

struct bpf_iter_meta { void *seq; } KERNEL;
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
} KERNEL;

enum { SOCKETS, EPOLLS, EVENTS, PIPES, FILES, OTHERS, KINDS };

/* A record of a socket ends after netns: of what is in a table there are far more. */
struct record {
	u32 pid;    /* in the pid namespace of the reader */
	u32 thread; /* that has the table; the same for that of the process */
	u32 inode;  /* 0: the table is summed up */
	u32 netns;  /* of the socket, or of the process */
	u64 files;  /* which table: the same for threads that share one */
	u32 count[KINDS];
	u32 level; /* of the reader's pid namespace: the initial one has 0 */
	u32 pad;
};
enum { SOCKET = 24 };

/* Only one reader has these: each opening of the iterator has a copy of this program. */
struct record table;
struct task_struct *last;
const volatile u32 only; /* sockets of this network namespace alone; 0: all */

/* File systems whose files have no path (include/uapi/linux/magic.h). */
enum { ANON_INODE = 0x09041934, PIDFS = 0x50494446, NSFS = 0x6e736673, DMA_BUF = 0x444d4142 };

INLINE u32 kind(struct file *file)
{
	struct inode *inode = file->f_inode;
	u16 type = READ(inode, i_mode) & 0170000;
	u8 name[8] = {};

	if (type == 0140000)
		return SOCKETS;
	if (type == 0010000)
		return PIPES;
	switch (READ(READ(inode, i_sb), s_magic)) {
	case ANON_INODE:
		break;
	case PIDFS:
	case NSFS:
	case DMA_BUF:
		return OTHERS;
	default:
		return FILES;
	}
	/* fs/eventpoll.c, fs/eventfd.c: "[eventpoll]", "[eventfd]" */
	bpf_probe_read_kernel(name, sizeof(name), READ(file->f_path.dentry, d_name.name));
	if (name[1] != 'e' || name[2] != 'v' || name[5] != 't')
		return OTHERS;
	return name[6] == 'p' ? EPOLLS : name[6] == 'f' ? EVENTS : OTHERS;
}

/* header begins the record of a table. */
INLINE void header(struct record *r, struct task_struct *task)
{
	u32 level = READ(READ((struct task_struct *)bpf_get_current_task(), thread_pid), level);

	r->pid = READ(numbered(READ(task->signal, pids[1]), level), nr); /* PIDTYPE_TGID */
	r->thread = READ(numbered(task->thread_pid, level), nr);
	r->netns = netns_of(READ(task->nsproxy, net_ns));
	r->files = (u64)task->files;
	r->level = level;
}

/* socket_record fills in a record, and says whether a descriptor is a socket that is wanted. */
INLINE int socket_record(struct record *r, struct file *file)
{
	struct socket *socket = bpf_sock_from_file(file);
	struct sock *sk;

	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || (sk->sk_protocol != IPPROTO_TCP && sk->sk_protocol != IPPROTO_MPTCP) ||
	    (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6))
		return 0;
	r->netns = netns_of(sk->__sk_common.skc_net.net);
	r->inode = READ(file->f_inode, i_ino);
	return !only || r->netns == only;
}

/* Where the reader's buffer is full the kernel drops what was written for this descriptor and
 * calls again (kernel/bpf/bpf_iter.c bpf_seq_read): what is remembered changes at the end alone.
 */
SEC("iter/task_file")
int owners(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	void *seq = ctx->meta->seq;
	struct record next = {}, one;
	u32 k = KINDS;

	if (task == last)
		next = table;
	else if (last && bpf_seq_write(seq, &table, sizeof(table)))
		return 0;
	else if (task)
		header(&next, task);
	if (task && file) {
		k = kind(file);
		one = next;
		if (k == SOCKETS && socket_record(&one, file) &&
		    bpf_seq_write(seq, &one, SOCKET))
			return 0;
	}
	table = next;
	last = task;
	if (k < KINDS)
		table.count[k]++;
	return 0;
}
