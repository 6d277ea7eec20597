/* System calls that find no descriptor free: EMFILE, ENFILE. The hook is on the way out of every
 * system call of the host, so it is attached only where somebody asks.
 */
#include "refusal.h"


SEC("tp_btf/sys_exit")
int files(u64 *ctx)
{
	struct task_struct *task;
	struct key k = {};
	struct value v;
	long result = ctx[1];

	if (result != -24 && result != -23)
		return 0;
	task = bpf_get_current_task();
	k.netns = netns_of(READ(READ(task, nsproxy), net_ns));
	if (!wanted(&k))
		return 0;
	zero(&v);
	k.kind = NO_FILE;
	k.reason = -result;
	k.pid = process();
	v.cgroup = bpf_get_current_cgroup_id();
	bpf_get_current_comm(v.comm, sizeof(v.comm));
	count(&k, &v);
	return 0;
}
