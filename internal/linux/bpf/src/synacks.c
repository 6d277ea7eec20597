/* A client whose SYN-ACK is sent again: it got none, or its ACK was dropped (net/ipv4/
 * tcp_output.c tcp_rtx_synack).
 */
#include "refusal.h"

SEC("tp_btf/tcp_retransmit_synack")
int synacks(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct request_sock *req = (struct request_sock *)ctx[1];
	struct key k = {};
	struct value v;

	k.netns = netns_of(sk->__sk_common.skc_net.net);
	if (!wanted(&k) || sk->__sk_common.skc_state != TCP_LISTEN)
		return 0;
	zero(&v);
	k.kind = SYNACK_REPEAT;
	local(&k, sk);
	k.source_port = sk->__sk_common.skc_num;
	holder(&k, &v, sk);
	v.used = sk->sk_ack_backlog;
	v.most = sk->sk_max_ack_backlog;
	remote(v.peer, (struct sock *)req, READ(req, __req_common.skc_family));
	v.peer_port = swapped(READ(req, __req_common.skc_dport));
	count(&k, &v);
	return 0;
}
