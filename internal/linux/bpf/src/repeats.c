/* connect() that nobody answers: its SYN is sent again (net/ipv4/tcp_output.c
 * tcp_retransmit_skb).
 */
#include "refusal.h"
#include "connects.h"

SEC("tp_btf/tcp_retransmit_skb")
int repeats(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	u64 at = (u64)sk;
	struct key k = {};
	struct value v;

	if (sk->__sk_common.skc_state != TCP_SYN_SENT)
		return 0;
	k.netns = netns_of(sk->__sk_common.skc_net.net);
	if (!wanted(&k))
		return 0;
	zero(&v);
	k.kind = CONNECT_REPEAT;
	local(&k, sk);
	remote(k.destination, sk, k.family);
	k.destination_port = swapped(sk->__sk_common.skc_dport);
	called(&k, &v, bpf_map_lookup_elem(&connecting, &at));
	holder(&k, &v, sk);
	if (k.pid)
		k.inode = 0;
	count(&k, &v);
	return 0;
}
