/* connect() that fails: the state of its socket goes from SYN_SENT to CLOSE. It enters SYN_SENT
 * before a port is looked for (net/ipv4/tcp_ipv4.c tcp_v4_connect), in the context of the caller;
 * so does the failure to find one, before anything is sent. Answers (RST), timeouts and whatever
 * else ends it have set sk_err, close() has set sk_shutdown, and disconnecting (connect() to
 * AF_UNSPEC) leaves the SYN in its queue: none of these is a lack of ports.
 */
#include "refusal.h"
#include "connects.h"

INLINE int is_tcp(struct sock *sk)
{
	return sk->sk_protocol == IPPROTO_TCP || sk->sk_protocol == IPPROTO_MPTCP;
}

INLINE void began(u64 at)
{
	struct caller c = {};

	c.pid = process();
	bpf_get_current_comm(c.comm, sizeof(c.comm));
	bpf_map_update_elem(&connecting, &at, &c, 0);
}

/* kind is 0 for an end that is nobody's refusal. */
INLINE u32 kind(struct sock *sk)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;

	if (sk->sk_err)
		return CONNECT_ERROR;
	if (sk->sk_shutdown || READ(tp, packets_out))
		return 0;
	/* TCP_FASTOPEN_CONNECT: the SYN waits for data */
	if (READ(tp, write_seq) && BIT(tp, fastopen_connect))
		return 0;
	return sk->__sk_common.skc_num ? PORT_TAKEN : NO_PORT;
}

SEC("tp_btf/inet_sock_set_state")
int connects(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	int before = ctx[1], after = ctx[2];
	u64 at = (u64)sk;
	struct key k = {};
	struct value v;

	if (after == TCP_SYN_SENT && is_tcp(sk))
		began(at);
	if (before != TCP_SYN_SENT || !is_tcp(sk))
		return 0;
	if (after == TCP_CLOSE) {
		k.kind = kind(sk);
		k.netns = netns_of(sk->__sk_common.skc_net.net);
	}
	if (k.kind && wanted(&k)) {
		zero(&v);
		k.reason = sk->sk_err;
		local(&k, sk);
		if (k.kind == PORT_TAKEN)
			k.source_port = sk->__sk_common.skc_num;
		remote(k.destination, sk, k.family);
		k.destination_port = swapped(sk->__sk_common.skc_dport);
		called(&k, &v, bpf_map_lookup_elem(&connecting, &at));
		holder(&k, &v, sk);
		if (k.pid)
			k.inode = 0;
		count(&k, &v);
	}
	bpf_map_delete_elem(&connecting, &at);
	return 0;
}
