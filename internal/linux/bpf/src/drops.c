/* Segments that are dropped, by the kernel's reason (net/core/skbuff.c kfree_skb). The tracepoint
 * has the reason since Linux 5.17, and the socket that was to receive since 6.11; the reader sets
 * what there is. Which reasons are wanted, it looks up by name.
 */
#include "refusal.h"

struct net_device { possible_net_t nd_net; } KERNEL;
struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	u16 network_header;
	u8 *head;
} KERNEL;

enum { REASONS = 256 };
const volatile u8 kinds[REASONS]; /* by reason: 0, or the kind of refusal */
const volatile u32 has_socket;

/* ends reads the addresses of a segment, whose IP header may be anywhere or nowhere. */
INLINE void ends(struct key *k, struct sk_buff *skb)
{
	u8 *at = READ(skb, head) + READ(skb, network_header);
	u16 ports[2] = {};
	u8 ip[40] = {};
	u32 length = 40;

	bpf_probe_read_kernel(ip, sizeof(ip), at);
	if (ip[0] >> 4 == 4 && ip[9] == IPPROTO_TCP) {
		k->family = AF_INET;
		length = (ip[0] & 15) * 4;
		k->source[10] = k->source[11] = 0xff;
		k->destination[10] = k->destination[11] = 0xff;
		__builtin_memcpy(k->source + 12, ip + 12, 4);
		__builtin_memcpy(k->destination + 12, ip + 16, 4);
	} else if (ip[0] >> 4 == 6 && ip[6] == IPPROTO_TCP) {
		k->family = AF_INET6;
		__builtin_memcpy(k->source, ip + 8, 16);
		__builtin_memcpy(k->destination, ip + 24, 16);
	} else {
		return;
	}
	bpf_probe_read_kernel(ports, sizeof(ports), at + length);
	k->source_port = swapped(ports[0]);
	k->destination_port = swapped(ports[1]);
}

/* kind says what a drop is. */
INLINE u32 kind(u32 reason)
{
	u64 at = reason;

	if (reason >= REASONS)
		return 0;
	asm volatile("%0 &= 0xff" : "+r"(at)); /* for the verifier */
	return kinds[at];
}

SEC("tp_btf/kfree_skb")
int drops(u64 *ctx)
{
	struct sk_buff *skb = (struct sk_buff *)ctx[0];
	u32 reason = ctx[2];
	struct sock *rx = NULL;
	struct key k = {};
	struct value v;

	if (has_socket)
		rx = (struct sock *)ctx[3];
	k.kind = kind(reason);
	if (!k.kind)
		return 0;
	k.netns = netns_of(rx ? READ(rx, __sk_common.skc_net.net)
			      : READ(READ(skb, dev), nd_net.net));
	if (!k.netns)
		k.netns = netns_of(READ(READ(skb, sk), __sk_common.skc_net.net));
	if (!wanted(&k))
		return 0;
	zero(&v);
	k.reason = reason;
	ends(&k, skb);
	if (k.kind != ACCEPT_QUEUE) {
		/* clients choose their ports: they are no place */
		k.source_port = 0;
		count(&k, &v);
		return 0;
	}
	__builtin_memcpy(v.peer, k.source, 16);
	v.peer_port = k.source_port;
	__builtin_memset(k.source, 0, 16);
	__builtin_memset(k.destination, 0, 16);
	k.destination_port = 0;
	if (rx) {
		k.family = READ(rx, __sk_common.skc_family);
		if (k.family == AF_INET6) {
			struct in6_addr six = READ(rx, __sk_common.skc_v6_rcv_saddr);
			__builtin_memcpy(k.source, &six, 16);
		} else {
			mapped(k.source, READ(rx, __sk_common.skc_rcv_saddr));
		}
		k.source_port = READ(rx, __sk_common.skc_num);
		v.used = READ(rx, sk_ack_backlog);
		v.most = READ(rx, sk_max_ack_backlog);
		k.inode = holder(rx);
	}
	count(&k, &v);
	return 0;
}
