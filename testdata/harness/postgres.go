//go:build !windows

package harness

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A PostgresServer is a throwaway PostgreSQL cluster: it listens on a free port of 127.0.0.1 and on a Unix socket in its
// own directory, asks for SCRAM-SHA-256 passwords everywhere, logs every statement, and does not sync to disk.
//
// Its methods end the test on failure, and are for one goroutine at a time except Exec, QueryRow, Connect, Roles, Log and URL.
type PostgresServer struct {
	Host     string // "127.0.0.1"
	Port     int
	Socket   string // directory of the Unix socket
	User     string // the superuser
	Password string // the superuser's, made at run time; the same for all servers of a test binary
	Data     string // data directory, owned by the account the server runs as

	t        testing.TB
	bin      string
	owner    *account // nil: the test's own account
	settings []string
	process  *postgresProcess // nil while stopped
}

// A PostgresOption changes how the server is started.
type PostgresOption func(*PostgresServer)

// PostgresSetting sets a line of postgresql.conf ("max_connections", "300").
func PostgresSetting(name, value string) PostgresOption {
	return func(s *PostgresServer) { s.settings = append(s.settings, name+"="+value) }
}

// Postgres starts a cluster of Debian's postgresql package, stops it when the test ends, and at the latest when the test's process
// dies. As root it runs under the account postgres, for the server refuses to run as root.
func Postgres(t testing.TB, opts ...PostgresOption) *PostgresServer {
	t.Helper()
	s := &PostgresServer{Host: "127.0.0.1", User: "postgres", t: t, bin: postgresBin(t)}
	if os.Geteuid() == 0 {
		s.owner = accountOf(t, "postgres")
	}
	// Not t.TempDir(): its parent is closed to other accounts, and a socket's path must stay under 108 bytes.
	dir, err := os.MkdirTemp(postgresRoot(), "wc-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s.Socket, s.Data = dir, filepath.Join(dir, "data")
	s.own(dir)

	if err := s.unpack(postgresTemplate(t, s)); err != nil {
		t.Fatal(err)
	}
	for _, opt := range opts {
		opt(s)
	}
	s.Port = FreePort(t)
	t.Cleanup(func() {
		if s.process != nil {
			s.process.end(syscall.SIGQUIT)
		}
		if t.Failed() {
			t.Logf("end of the log of postgres:\n%s", tail(s.Log(), 12))
		}
	})
	s.Start()
	return s
}

// postgresBin finds the newest server installed, first where Debian keeps them.
func postgresBin(t testing.TB) string {
	t.Helper()
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(dirs, func(a, b string) int { return postgresVersion(b) - postgresVersion(a) })
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir
		}
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	Missing(t, "initdb and postgres (Debian: apt-get install postgresql)")
	return ""
}

func postgresVersion(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

// An account is whom the server runs as when the tests run as root.
type account struct{ uid, gid uint32 }

func accountOf(t testing.TB, name string) *account {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		Missing(t, "the account %s (it comes with Debian's postgresql): %v", name, err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return &account{uint32(uid), uint32(gid)}
}

func (s *PostgresServer) own(path string) {
	if s.owner == nil {
		return
	}
	if err := os.Chown(path, int(s.owner.uid), int(s.owner.gid)); err != nil {
		s.t.Fatal(err)
	}
}

// command is a program of the server's with an environment of its own: nothing of PG* reaches it.
func (s *PostgresServer) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir = s.Socket
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	c.SysProcAttr = postgresProcAttr(s.owner)
	return c
}

// A postgresProcess is a running postmaster.
type postgresProcess struct {
	pid   int
	ended chan struct{}
}

// start runs the command from a thread that lives as long as it does, because a parent-death signal is sent when the
// starting thread ends, not the process (golang.org/issue/27505).
func startPostgres(c *exec.Cmd) (*postgresProcess, error) {
	p := &postgresProcess{ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.Start()
		if err == nil {
			p.pid = c.Process.Pid
		}
		started <- err
		if err == nil {
			_ = c.Wait()
			close(p.ended)
		}
	}()
	return p, <-started
}

// end sends the signal (SIGINT: fast, SIGQUIT: at once, as a crash) and waits.
func (p *postgresProcess) end(sig syscall.Signal) {
	p.pause(false)
	_ = syscall.Kill(p.pid, sig)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
		<-p.ended
	}
}

// pause stops or continues the postmaster and every process it started.
func (p *postgresProcess) pause(on bool) {
	sig := syscall.SIGCONT
	if on {
		sig = syscall.SIGSTOP
	}
	_ = syscall.Kill(p.pid, sig) // first, so that it starts no more
	for _, child := range childrenOf(p.pid) {
		_ = syscall.Kill(child, sig)
	}
}

// Start starts a stopped server on the port it had and waits until it answers.
func (s *PostgresServer) Start() {
	s.t.Helper()
	logFile, err := os.OpenFile(filepath.Join(s.Socket, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer logFile.Close()
	args := []string{"-D", s.Data, "-h", s.Host, "-p", strconv.Itoa(s.Port), "-k", s.Socket}
	for _, setting := range append([]string{
		"fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=200",
		"dynamic_shared_memory_type=mmap", // in the data directory, which is removed even after a kill
		"log_statement=all", "log_connections=on", "log_line_prefix=%m [%p] %u@%d %a: ", "log_timezone=UTC",
		"password_encryption=scram-sha-256", "logging_collector=off",
	}, s.settings...) {
		args = append(args, "-c", setting)
	}
	c := s.command("postgres", args...)
	c.Stdout, c.Stderr = logFile, logFile
	if s.process, err = startPostgres(c); err != nil {
		s.process = nil
		s.t.Fatalf("starting postgres: %v", err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		conn, err := s.connect(s.User, s.Password, "postgres")
		if err == nil {
			conn.Close(context.Background())
			return
		}
		select {
		case <-s.process.ended:
			s.t.Fatalf("postgres did not start:\n%s", tail(s.Log(), 20))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("postgres does not answer: %v\n%s", err, tail(s.Log(), 20))
		}
	}
}

// Stop ends the server the fast way: sessions are cut, data is kept.
func (s *PostgresServer) Stop() { s.stop(syscall.SIGINT) }

// Crash ends the server at once; Start recovers what was committed (unless synchronous_commit is off).
func (s *PostgresServer) Crash() { s.stop(syscall.SIGQUIT) }

func (s *PostgresServer) stop(sig syscall.Signal) {
	if s.process != nil {
		s.process.end(sig)
		s.process = nil
	}
}

// Pause freezes the server and all its sessions: connections are accepted by the kernel and nothing answers.
func (s *PostgresServer) Pause() { s.process.pause(true) }

// Continue ends Pause.
func (s *PostgresServer) Continue() { s.process.pause(false) }

// URL is a connection string over TCP without TLS.
func (s *PostgresServer) URL(user, password, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, password), Path: "/" + database, RawQuery: "sslmode=disable",
		Host: s.Host + ":" + strconv.Itoa(s.Port),
	}
	return u.String()
}

// AdminURL is the superuser's connection string to the database.
func (s *PostgresServer) AdminURL(database string) string {
	return s.URL(s.User, s.Password, database)
}

func (s *PostgresServer) connect(user, password, database string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	config, err := pgx.ParseConfig(s.URL(user, password, database))
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	return pgx.ConnectConfig(ctx, config)
}

// Connect opens a session that the test's end closes; the error is the server's, for tests of refused logins.
func (s *PostgresServer) Connect(user, password, database string) (*pgx.Conn, error) {
	conn, err := s.connect(user, password, database)
	if err == nil {
		s.t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			conn.Close(ctx)
		})
	}
	return conn, err
}

// Exec runs statements, several if need be, as the superuser.
func (s *PostgresServer) Exec(database, sql string) {
	s.t.Helper()
	conn, err := s.connect(s.User, s.Password, database)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.PgConn().Exec(context.Background(), sql).ReadAll(); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

// QueryRow runs a query as the superuser and scans its first row into dest, a pointer.
func (s *PostgresServer) QueryRow(database string, dest any, sql string, args ...any) {
	s.t.Helper()
	conn, err := s.connect(s.User, s.Password, database)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(context.Background(), sql, args...).Scan(dest); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

// Roles lists the roles whose names begin with prefix, as pg_roles has them now.
func (s *PostgresServer) Roles(prefix string) []string {
	s.t.Helper()
	roles := []string{}
	s.QueryRow("postgres", &roles, `select coalesce(array_agg(rolname::text order by rolname), '{}')
		from pg_roles where starts_with(rolname, $1)`, prefix)
	return roles
}

// Log is what the server has written so far, every statement included.
func (s *PostgresServer) Log() string {
	b, err := os.ReadFile(filepath.Join(s.Socket, "log"))
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(b)
}

// WriteData puts a file into the data directory that only the server's account can read (a TLS key, say) and returns its path.
func (s *PostgresServer) WriteData(name string, content []byte) string {
	s.t.Helper()
	path := filepath.Join(s.Data, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.own(path)
	return path
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
