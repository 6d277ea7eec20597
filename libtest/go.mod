module github.com/maxconn/maxconn/libtest

go 1.26.0

require (
	github.com/google/go-cmp v0.7.0
	github.com/maxconn/maxconn v0.0.0
	github.com/maxconn/maxconn/coalesce v0.0.0
	github.com/maxconn/maxconn/dial v0.0.0
	github.com/maxconn/maxconn/listen v0.0.0
	github.com/tetratelabs/wazero v1.12.0
	github.com/vishvananda/netlink v1.3.1
	go.uber.org/goleak v1.3.0
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.49.0
	golang.org/x/tools v0.52.0
)

require (
	github.com/vishvananda/netns v0.0.5 // indirect
	golang.org/x/mod v0.42.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
)

replace (
	github.com/maxconn/maxconn => ../
	github.com/maxconn/maxconn/coalesce => ../coalesce
	github.com/maxconn/maxconn/dial => ../dial
	github.com/maxconn/maxconn/listen => ../listen
)
