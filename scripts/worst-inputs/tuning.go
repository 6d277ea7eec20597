package main

import "strings"

// longTexts are one text again and again, between a beginning and an end.
var longTexts = []struct{ name, begin, text, end string }{
	{"backslashes", "", "\\\n", ""},
	{"continued command", "", "sysctl -w net.core.somaxconn=1 \\\n", ""},
	{"continued word", "", "a \\\n", "\n"},
	{"empty lines", "", "\n", ""},
	{"one long word", "", "a", "\n"},
	{"one long key", "net.ipv4.", "a", " = 1\n"},
	{"one long dotted key", "net", ".a", " = 1\n"},
	{"one long starred key", "net", ".*", " = 1\n"},
	{"one long value", "net.ipv4.tcp_mem = 1", " 1", "\n"},
	{"one long list of ports", "net.ipv4.ip_local_reserved_ports = 1", ",1-65535", "\n"},
	{"one long command", "sysctl -w", " net.core.somaxconn=1", "\n"},
	{"commands on one line", "", "sysctl -w net.core.somaxconn=1;", "\n"},
	{"pipes", "", "a|", "\n"},
	{"ands", "", "a && ", "\n"},
	{"quotes", "", "'", "\n"},
	{"double quotes", "", "\"", "\n"},
	{"quoted lines", "", "echo 'a\n", ""},
	{"pipes of 60 KB", "", strings.Repeat("a|", 30_000) + "a\n", ""},
	{"conditions of 60 KB", "", strings.Repeat("if ", 20_000) + "\n", ""},
	{"arithmetic of 60 KB", "", "((" + strings.Repeat("a?", 30_000) + "\n", ""},
	{"apostrophes", "", "don't\n", ""},
	{"conditions that stay open", "", "if a; then\n", ""},
	{"backquotes", "", "`", "\n"},
	{"substitutions", "", "$(", "\n"},
	{"braces", "", "{", "\n"},
	{"brackets", "", "[", "\n"},
	{"section heads", "", "[sysctl]\n", ""},
	{"here documents", "", "cat <<EOF >/etc/sysctl.d/a.conf\n", ""},
	{"here documents that end", "",
		"cat <<E >/etc/sysctl.d/a.conf\nnet.core.somaxconn = 1\nE\n", ""},
	{"here strings", "", "sysctl -p - <<< 'net.core.somaxconn = 1'\n", ""},
	{"echo into proc", "", "echo 1 > /proc/sys/net/core/somaxconn\n", ""},
	{"targets of tee", "echo 1 | tee", " /proc/sys/net/core/somaxconn", "\n"},
	{"redirections", "echo 1", " > /etc/sysctl.d/a.conf", "\n"},
	{"printf", "", "printf 'net.core.somaxconn = %s\\n' 1 2 3 > /etc/sysctl.conf\n", ""},
	{"printf of many words", "printf 'net.core.somaxconn=%s %s %s\\n'", " 1",
		" > /etc/sysctl.conf\n"},
	{"loops", "", "for k in net.core.somaxconn net.ipv4.tcp_fin_timeout; do sysctl -w " +
		"$k=1; done\n", ""},
	{"one long loop", "for k in", " net.core.somaxconn", "; do sysctl -w $k=1; done\n"},
	{"nested shells", "", "sh -c 'sh -c \"", "\n"},
	{"sudo", "", "sudo ", "sysctl -w net.core.somaxconn=1\n"},
	{"sed", "", "sed -i 's/a/net.core.somaxconn = 1/' /etc/sysctl.conf\n", ""},
	{"sed of one line", "sed -i", " -e 's/a/net.core.somaxconn=1/'", " /etc/sysctl.conf\n"},
	{"one setting", "", "net.core.somaxconn=1\n", ""},
	{"two settings in turn", "", "net.core.somaxconn=1\nnet.core.somaxconn=2\n", ""},
	{"two unknown in turn", "", "net.a.b=1\nnet.a.c=1\n", ""},
	{"pairs", "", "net.ipv4.tcp_rmem=1 2 3\nnet.ipv4.tcp_wmem=3 2 1\nnet.core.rmem_max=1\n",
		""},
	{"globs", "", "net.*.*=1\n", ""},
	{"two globs in turn", "", "net.ipv4.*=1\nnet.*.tcp*=2\n", ""},
	{"exclusions", "", "-net.ipv4.*\n", ""},
	{"glob and exclusion", "", "net.ipv4.conf.*.rp_filter=1\n-net.ipv4.conf.all.rp_filter\n",
		""},
	{"limits.conf", "", "* soft nofile 1\n", ""},
	{"limits of users", "", "@a - nofile 1\nb hard nofile 2\n", ""},
	{"ulimit", "", "ulimit -n 1; ", "\n"},
	{"unit", "", "[Service]\nLimitNOFILE=1\n", ""},
	{"unit continued", "[Service]\nExecStart=a \\\n", "b \\\n", "\n"},
	{"module options", "", "options nf_conntrack hashsize=1\n", ""},
	{"yaml", "", "- name: net.core.somaxconn\n  value: 1\n", ""},
	{"prose", "", "`net.core.somaxconn` 1024\n", ""},
	{"stray words", "", "net.core.somaxcon 1024\n", ""},
	{"carriage returns", "", "\r", "\n"},
	{"invalid text", "", "\xff\n", ""},
	{"marks of byte order", "", "\xef\xbb\xbf\n", ""},
	{"prompts", "", "[root@a ~]# sysctl -w net.core.somaxconn=1\n", ""},
	{"a prompt without end", "a@", "a ", "\n"},
}

// numberedTexts are lines of which no two are alike.
var numberedTexts = []struct{ name, text string }{
	{"unknown keys", "net.ipv4.tcp_unknown_%d=1\n"},
	{"unknown short keys", "n.%d=1\n"},
	{"unknown long keys",
		"net.ipv4.conf.interface%d.accept_redirectssss_and_more_and_more=1\n"},
	{"misspelt keys", "net.ipv4.tcp_fin_timeou%d=1\n"},
	{"unknown strays", "net.ipv4.tcp_fin_timeou%d 1\n"},
	{"keys of devices", "net.ipv4.conf.eth%d.rp_filter=1\n"},
	{"keys of neighbours", "net.ipv4.neigh.eth%d.gc_thresh1=1\n"},
	{"globs that differ", "net.ipv4.conf.*%d.rp_filter=1\n"},
	{"globs that match", "net.ipv4.tcp_*=%d\n"},
	{"values that differ", "net.core.somaxconn=%d\n"},
	{"limits of many users", "u%d soft nofile 1\n"},
	{"targets that differ", "echo net.core.somaxconn=1 > /etc/sysctl.d/%d.conf\n"},
	{"targets, one key each", "echo net.ipv4.conf.e%d.rp_filter=1 > /etc/sysctl.d/%d.conf\n"},
	{"hosts that differ", "ssh h%d sysctl -w net.core.somaxconn=1\n"},
	{"loops of many names", "for a%d in net.core.somaxconn; do sysctl -w $a%d=1; done\n"},
	{"here documents, ends differ", "cat <<E%d >/etc/sysctl.d/a.conf\nnet.core.somaxconn=1\n"},
	{"queues", "ip link set e%d txqueuelen 1\n"},
	{"containers", "docker run --sysctl net.core.somaxconn=1 --ulimit nofile=%d x\n"},
	{"module options that differ", "options m%d hashsize=1\n"},
}

// tuning are files for lint.
func tuning() (all []input) {
	for _, one := range longTexts {
		all = append(all, input{"lint " + one.name, "lint --kernel 6.12 INPUT",
			framed(one.begin, one.text, one.end)})
	}
	for _, one := range numberedTexts {
		write := numbered("", one.text, "")
		all = append(all, input{"lint " + one.name, "lint --kernel 6.12 INPUT", write})
		if len(all)%3 == 0 {
			all = append(all, input{"lint --json " + one.name,
				"lint --json --all --kernel 6.12 INPUT", write},
				input{"lint --sarif " + one.name,
					"lint --sarif --kernel 6.12 INPUT", write})
		}
	}
	return all
}
