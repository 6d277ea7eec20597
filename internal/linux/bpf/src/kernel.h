/* What the programs here need of the kernel: types by the names and fields that its BTF has (their
 * places are filled in when a program is loaded, "compile once, run everywhere"), and helpers by
 * their numbers (include/uapi/linux/bpf.h). Nothing here writes: internal/archtest holds the
 * compiled objects to that.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define KERNEL __attribute__((preserve_access_index))
#define NULL ((void *)0)

char license_of[] SEC("license") = "Dual MIT/GPL";

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value,
					 u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static long (*const bpf_get_current_comm)(void *to, u32 size) = (void *)16;
static u64 (*const bpf_get_current_cgroup_id)(void) = (void *)80;
static long (*const bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*const bpf_seq_write)(void *seq, const void *data, u32 size) = (void *)127;
static void *(*const bpf_get_current_task)(void) = (void *)35;
static void *(*const bpf_sock_from_file)(void *file) = (void *)162;

/* READ copies a field of what a pointer of the kernel leads to; 0 where nothing is there. */
#define READ(p, field)                                                                             \
	({                                                                                         \
		typeof(p) p_ = (p);                                                                \
		typeof(p_->field) v_ = {0};                                                        \
		bpf_probe_read_kernel(&v_, sizeof(v_),                                             \
				      __builtin_preserve_access_index(&p_->field));                \
		v_;                                                                                \
	})

/* BIT copies a field of bits in the same way. */
#define BIT(p, field)                                                                              \
	({                                                                                         \
		u64 v_ = 0;                                                                        \
		bpf_probe_read_kernel(&v_, __builtin_preserve_field_info((p)->field, 1),           \
				      (u8 *)(p) + __builtin_preserve_field_info((p)->field, 0));   \
		v_ <<= __builtin_preserve_field_info((p)->field, 4);                               \
		v_ >> __builtin_preserve_field_info((p)->field, 5);                                \
	})

/* HAS says whether this kernel has a field. */
#define HAS(field) __builtin_preserve_field_info(field, 2)

struct ns_common { u32 inum; } KERNEL;
struct net { struct ns_common ns; } KERNEL;
typedef struct { struct net *net; } KERNEL possible_net_t;
struct nsproxy { struct net *net_ns; } KERNEL;
struct pid_namespace { struct ns_common ns; } KERNEL;
struct upid { int nr; struct pid_namespace *ns; } KERNEL;
struct pid { u32 level; struct upid numbers[1]; } KERNEL;
struct signal_struct { struct pid *pids[4]; } KERNEL;
struct task_struct {
	int pid, tgid;
	struct pid *thread_pid;
	struct signal_struct *signal;
	struct nsproxy *nsproxy;
	void *files;
} KERNEL;

struct super_block { unsigned long s_magic; } KERNEL;
struct inode { u16 i_mode; struct super_block *i_sb; unsigned long i_ino; } KERNEL;
struct qstr { const u8 *name; } KERNEL;
struct dentry { struct qstr d_name; } KERNEL;
struct path { struct dentry *dentry; } KERNEL;
struct file { struct path f_path; struct inode *f_inode; } KERNEL;

struct in6_addr { u8 bytes[16]; }; /* include/uapi/linux/in6.h: read whole */
struct sock_common {
	u32 skc_daddr, skc_rcv_saddr;
	u16 skc_dport, skc_num, skc_family;
	u8 skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
} KERNEL;
struct kernfs_node { u64 id; } KERNEL;
struct cgroup { struct kernfs_node *kn; } KERNEL;
struct sock_cgroup_data { struct cgroup *cgroup; } KERNEL;
struct socket { struct file *file; struct sock *sk; } KERNEL;
struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	struct sock_cgroup_data sk_cgrp_data;
	u32 sk_ack_backlog, sk_max_ack_backlog;
	int sk_err;
	u16 sk_protocol;
	u8 sk_shutdown;
} KERNEL;
struct tcp_sock { u32 packets_out, write_seq; u8 fastopen_connect : 1; } KERNEL;
struct request_sock { struct sock_common __req_common; } KERNEL;

enum { TCP_ESTABLISHED = 1, TCP_SYN_SENT = 2, TCP_CLOSE = 7, TCP_LISTEN = 10 };
enum { AF_INET = 2, AF_INET6 = 10, IPPROTO_TCP = 6, IPPROTO_MPTCP = 262 };

/* numbered is where a pid has its number in a pid namespace of this depth (kernel/pid.c
 * pid_nr_ns).
 */
INLINE struct upid *numbered(struct pid *pid, u32 level)
{
	u64 at = level * (u64)__builtin_preserve_type_info(*(struct upid *)0, 1);

	return (struct upid *)((u8 *)__builtin_preserve_access_index(&pid->numbers[0]) + at);
}

INLINE u32 netns_of(struct net *net) { return READ(net, ns.inum); }
