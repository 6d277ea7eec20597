package knob

// Doubling is how long n repetitions last that begin at 1 s and double, the last wait included; a
// wait is 120 s at most (include/net/tcp.h TCP_TIMEOUT_INIT, TCP_RTO_MAX; net/ipv4/tcp_timer.c
// tcp_model_timeout).
func Doubling(n int64) (seconds int64) {
	wait := int64(1)
	for range max(0, min(n, 255)) + 1 {
		seconds += wait
		wait = min(2*wait, 120)
	}
	return seconds
}

// SYNs is how often connect() repeats a SYN that nobody answers, and after how many seconds it
// gives up. The first waits, linear of them and one more, are 1 s; then they double. It gives up
// when a wait ends and there were retries+linear repetitions, or as much time has passed as retries
// would take that double from the first. Measured on 6.18: 1 and 4 give 2 repetitions and 3 s, 2
// and 4 give 5 and 7 s (net/ipv4/tcp_timer.c tcp_write_timeout, tcp_retransmit_timer; linear is 0
// before ccce324dabfe, 6.5).
func SYNs(retries, linear int64) (repeated, seconds int64) {
	linear = max(0, min(linear, 127))
	wait, end := int64(1), Doubling(retries)
	for seconds = wait; repeated < retries+linear && seconds < end; seconds += wait {
		if repeated++; repeated > linear {
			wait = min(2*wait, 120)
		}
	}
	return repeated, seconds
}
