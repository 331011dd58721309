//go:build !windows

package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
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
	sqlServer
	Data string // data directory, owned by the account the server runs as

	bin string
}

// A PostgresOption changes how the server is started.
type PostgresOption func(*PostgresServer)

// PostgresSetting sets a line of postgresql.conf ("max_connections", "300").
func PostgresSetting(name, value string) PostgresOption {
	return func(s *PostgresServer) { s.settings = append(s.settings, name+"="+value) }
}

var postgresTemplate template

// Postgres starts a cluster of Debian's postgresql package, stops it when the test ends, and at the latest when the test's process
// dies. As root it runs under the account postgres, for the server refuses to run as root.
func Postgres(t testing.TB, opts ...PostgresOption) *PostgresServer {
	t.Helper()
	d := newDaemon(t, "postgres")
	d.abort = syscall.SIGQUIT // killed, it would leave its shared memory behind
	s := &PostgresServer{Data: d.path("data"), bin: postgresBin(t), sqlServer: sqlServer{
		Host: "127.0.0.1", Socket: d.dir, User: "postgres", daemon: d, scheme: "postgres", query: "sslmode=disable", shutdown: syscall.SIGINT, // the fast way
	}}
	d.runAs("postgres")
	s.Password = postgresTemplate.unpack(d, s.initdb)
	for _, opt := range opts {
		opt(s)
	}
	s.Port = FreePort(t)
	s.Start()
	return s
}

func (s *PostgresServer) initdb(data, password string) error {
	pwfile := s.write("pw", password)
	defer os.Remove(pwfile)
	out, err := s.command(nil, filepath.Join(s.bin, "initdb"), "-D", data, "-U", s.User, "--pwfile="+pwfile, "--auth=scram-sha-256", "--encoding=UTF8",
		"--locale=C", "--wal-segsize=1", "--no-sync", "--no-instructions").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
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

// Start starts a stopped server on the port it had and waits until it answers.
func (s *PostgresServer) Start() {
	s.t.Helper()
	argv := []string{filepath.Join(s.bin, "postgres"), "-D", s.Data, "-h", s.Host, "-p", strconv.Itoa(s.Port), "-k", s.Socket}
	for _, setting := range append([]string{
		"fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=200",
		"dynamic_shared_memory_type=mmap", // in the data directory, which is removed even after a kill
		"log_statement=all", "log_connections=on", "log_line_prefix=%m [%p] %u@%d %a: ", "log_timezone=UTC",
		"password_encryption=scram-sha-256", "logging_collector=off",
	}, s.settings...) {
		argv = append(argv, "-c", setting)
	}
	s.start(60*time.Second, func() error {
		conn, err := s.connect(s.User, s.Password, "postgres")
		if err == nil {
			conn.Close(context.Background())
		}
		return err
	}, nil, argv...)
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

// admin opens a session of the superuser's.
func (s *PostgresServer) admin(database string) *pgx.Conn {
	s.t.Helper()
	conn, err := s.connect(s.User, s.Password, database)
	if err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// Exec runs statements, several if need be, as the superuser.
func (s *PostgresServer) Exec(database, sql string) {
	s.t.Helper()
	conn := s.admin(database)
	defer conn.Close(context.Background())
	if _, err := conn.PgConn().Exec(context.Background(), sql).ReadAll(); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

// QueryRow runs a query as the superuser and scans its first row into dest, a pointer.
func (s *PostgresServer) QueryRow(database string, dest any, sql string, args ...any) {
	s.t.Helper()
	conn := s.admin(database)
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
func (s *PostgresServer) Log() string { return s.log() }

// WriteData puts a file into the data directory that only the server's account can read (a TLS key, say) and returns its path.
func (s *PostgresServer) WriteData(name string, content []byte) string {
	s.t.Helper()
	return s.write(filepath.Join("data", name), string(content))
}
