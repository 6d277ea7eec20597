package dial_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func TestPgx(t *testing.T) {
	port := freePort(t)
	address := net.JoinHostPort("127.0.0.1", port)
	startPostgres(t, port, address)

	config, err := pgxpool.ParseConfig("postgres://tester@" + address +
		"/postgres?sslmode=disable&pool_max_conns=8")
	if err != nil {
		t.Fatal(err)
	}
	d := pool()
	config.ConnConfig.DialFunc = d.DialContext
	db, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()

	var held []*pgxpool.Conn
	for range 8 {
		c, err := db.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		var from netip.Addr
		if err := c.QueryRow(context.Background(),
			"select inet_client_addr()").Scan(&from); err != nil {
			t.Fatal(err)
		}
		if from == netip.MustParseAddr("127.0.0.1") {
			t.Errorf("the server saw %v, which is not in the pool", from)
		}
	}
	checkPool(t, d, address, 8)
	for _, c := range held {
		c.Release()
	}
}

// startPostgres makes a cluster in a directory of the test's. The server refuses to run as root.
func startPostgres(t *testing.T, port, address string) {
	t.Helper()
	postgres, initdb := program(t, "postgres"), program(t, "initdb")
	dir := t.TempDir()
	var as *syscall.SysProcAttr
	if os.Getuid() == 0 {
		as = asPostgres(t, dir)
	}
	data := filepath.Join(dir, "data")
	make := exec.Command(initdb, "-D", data, "-U", "tester", "-A", "trust", "--no-sync")
	make.SysProcAttr, make.Dir = as, dir
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"),
		[]byte("host all all 127.0.0.0/8 trust\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(postgres, "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "fsync=off",
		"-c", "log_min_messages=panic")
	cmd.SysProcAttr, cmd.Dir = as, dir
	start(t, cmd, address)
	// it listens before it serves
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := pgx.Connect(t.Context(),
			"postgres://tester@"+address+"/postgres?sslmode=disable")
		if err == nil {
			c.Close(t.Context())
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func asPostgres(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Skip("postgres does not run as root, and there is no user for it: ", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chown(d, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid),
		Gid: uint32(gid)}}
}
