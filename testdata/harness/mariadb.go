//go:build !windows

package harness

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// A MariaDBServer is a throwaway MariaDB server: it listens on a free port of 127.0.0.1 and on a Unix socket in its own directory,
// logs every statement, has no anonymous users, and does not sync to disk.
//
// Its methods end the test on failure, and are for one goroutine at a time except Exec, QueryRow, Connect, Users, Log and URL.
type MariaDBServer struct {
	Host     string // "127.0.0.1"
	Port     int
	Socket   string // path of the Unix socket
	User     string // the administrator, who may do everything
	Password string // the administrator's, made at run time; the same for all servers of a test binary

	t        testing.TB
	dir      string
	owner    *account // nil: the test's own account
	settings []string
	process  *postgresProcess // nil while stopped
}

// A MariaDBOption changes how the server is started.
type MariaDBOption func(*MariaDBServer)

// MariaDBSetting sets an option of the server ("event-scheduler", "ON").
func MariaDBSetting(name, value string) MariaDBOption {
	return func(s *MariaDBServer) { s.settings = append(s.settings, "--"+name+"="+value) }
}

// MariaDB starts a server of Debian's mariadb-server package, stops it when the test ends, and at the latest when the test's process
// dies. As root it runs under the account mysql, as the package's own does.
func MariaDB(t testing.TB, opts ...MariaDBOption) *MariaDBServer {
	t.Helper()
	s := &MariaDBServer{Host: "127.0.0.1", User: "boss", t: t}
	for _, program := range []string{"mariadbd", "mariadb-install-db"} {
		if _, err := mariadbProgram(program); err != nil {
			Missing(t, "%s (Debian: apt-get install mariadb-server)", program)
		}
	}
	if os.Geteuid() == 0 {
		s.owner = accountOf(t, "mysql")
	}
	// Not t.TempDir(): its parent is closed to other accounts, and a socket's path must stay under 108 bytes.
	dir, err := os.MkdirTemp(postgresRoot(), "wc-my-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s.dir, s.Socket = dir, filepath.Join(dir, "socket")
	s.own(dir)

	template := mariadbTemplate(t, s)
	s.Password = template.password
	if err := template.unpack(filepath.Join(dir, "data"), s.own); err != nil {
		t.Fatal(err)
	}
	for _, opt := range opts {
		opt(s)
	}
	s.Port = FreePort(t)
	t.Cleanup(func() {
		if s.process != nil {
			s.process.end(syscall.SIGKILL) // nobody needs the data again
		}
		if t.Failed() {
			t.Logf("end of the log of mariadbd:\n%s", tail(s.Log(), 12))
		}
	})
	s.Start()
	return s
}

// mariadbProgram finds a program also where Debian keeps the server's, off an ordinary user's PATH.
func mariadbProgram(name string) (string, error) {
	if path := filepath.Join("/usr/sbin", name); name == "mariadbd" {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return exec.LookPath(name)
}

func (s *MariaDBServer) own(path string) {
	if s.owner == nil {
		return
	}
	if err := os.Chown(path, int(s.owner.uid), int(s.owner.gid)); err != nil {
		s.t.Fatal(err)
	}
}

// A mariadbInstallation is the data directory that mariadb-install-db made, and the password its administrator is given.
type mariadbInstallation struct {
	archive
	password string
}

var firstInstallation struct {
	once sync.Once
	mariadbInstallation
	err error
}

// mariadbTemplate runs mariadb-install-db once per test binary.
func mariadbTemplate(t testing.TB, s *MariaDBServer) mariadbInstallation {
	t.Helper()
	firstInstallation.once.Do(func() { firstInstallation.mariadbInstallation, firstInstallation.err = s.install() })
	if firstInstallation.err != nil {
		t.Fatal(firstInstallation.err)
	}
	return firstInstallation.mariadbInstallation
}

func (s *MariaDBServer) install() (i mariadbInstallation, err error) {
	data := filepath.Join(s.dir, "template")
	defer os.RemoveAll(data)
	args := append([]string{"--no-defaults", "--datadir=" + data, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"}, mariadbSmall...)
	out, err := s.command("mariadb-install-db", args...).CombinedOutput()
	if err != nil {
		return i, fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	i.password = rand.Text()
	i.archive, err = pack(data, postgresRoot())
	return i, err
}

// mariadbSmall makes the data directory small enough to be copied for each test.
var mariadbSmall = []string{"--innodb-log-file-size=4M", "--innodb-data-file-path=ibdata1:4M:autoextend", "--innodb-undo-tablespaces=0"}

// command is a program of the server's with an environment of its own.
func (s *MariaDBServer) command(name string, args ...string) *exec.Cmd {
	path, err := mariadbProgram(name)
	if err != nil {
		s.t.Fatal(err)
	}
	c := exec.Command(path, args...)
	c.Dir = s.dir
	c.Env = []string{"PATH=/usr/sbin:/sbin:" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC", "HOME=" + s.dir}
	c.SysProcAttr = postgresProcAttr(s.owner)
	return c
}

// Start starts a stopped server on the port it had and waits until it answers.
func (s *MariaDBServer) Start() {
	s.t.Helper()
	// The administrator comes to be before the server listens.
	init := filepath.Join(s.dir, "init.sql")
	if err := os.WriteFile(init, []byte("CREATE USER IF NOT EXISTS "+s.User+" IDENTIFIED BY '"+s.Password+"';\n"+
		"GRANT ALL ON *.* TO "+s.User+" WITH GRANT OPTION;\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.own(init)
	logFile, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer logFile.Close()
	args := append([]string{"--no-defaults", "--datadir=" + filepath.Join(s.dir, "data"), "--bind-address=" + s.Host,
		"--port=" + strconv.Itoa(s.Port), "--socket=" + s.Socket, "--pid-file=" + filepath.Join(s.dir, "pid"), "--init-file=" + init,
		"--skip-name-resolve", "--innodb-buffer-pool-size=8M", "--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync",
		"--key-buffer-size=1M", "--aria-pagecache-buffer-size=8M", "--max-connections=300",
		"--general-log=1", "--general-log-file=" + filepath.Join(s.dir, "statements"),
	}, mariadbSmall...)
	c := s.command("mariadbd", append(args, s.settings...)...)
	c.Stdout, c.Stderr = logFile, logFile
	if s.process, err = startPostgres(c); err != nil {
		s.process = nil
		s.t.Fatalf("starting mariadbd: %v", err)
	}
	deadline := time.Now().Add(60 * time.Second)
	for {
		conn, err := s.connect(s.User, s.Password, "")
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-s.process.ended:
			s.t.Fatalf("mariadbd did not start:\n%s", tail(s.Log(), 20))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("mariadbd does not answer: %v\n%s", err, tail(s.Log(), 20))
		}
	}
}

// Stop ends the server the ordinary way: sessions are cut, data is kept.
func (s *MariaDBServer) Stop() { s.stop(syscall.SIGTERM) }

// Crash kills the server; Start recovers what was committed.
func (s *MariaDBServer) Crash() { s.stop(syscall.SIGKILL) }

func (s *MariaDBServer) stop(sig syscall.Signal) {
	if s.process != nil {
		s.process.end(sig)
		s.process = nil
	}
}

// Pause freezes the server: connections are accepted by the kernel and nothing answers.
func (s *MariaDBServer) Pause() { s.process.pause(true) }

// Continue ends Pause.
func (s *MariaDBServer) Continue() { s.process.pause(false) }

// URL is a connection string over TCP: mysql://user:password@host:port/database.
func (s *MariaDBServer) URL(user, password, database string) string {
	u := url.URL{Scheme: "mysql", User: url.UserPassword(user, password), Host: net.JoinHostPort(s.Host, strconv.Itoa(s.Port)), Path: "/" + database}
	return u.String()
}

// AdminURL is the administrator's connection string to the database.
func (s *MariaDBServer) AdminURL(database string) string { return s.URL(s.User, s.Password, database) }

func (s *MariaDBServer) connect(user, password, database string) (*sql.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	config.User, config.Passwd, config.DBName = user, password, database
	config.MultiStatements = true
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(-1) // closing the connection is to end it: a thousand runs' would be more than the server takes
	conn, err := db.Conn(ctx)
	if err != nil {
		db.Close()
		return nil, err
	}
	if err := conn.PingContext(ctx); err != nil {
		conn.Close()
		db.Close()
		return nil, err
	}
	s.t.Cleanup(func() { db.Close() })
	return conn, nil
}

// Connect opens a session that the test's end closes; the error is the server's, for tests of refused logins.
func (s *MariaDBServer) Connect(user, password, database string) (*sql.Conn, error) {
	conn, err := s.connect(user, password, database)
	if err == nil {
		s.t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

// Exec runs statements, several if need be, as the administrator.
func (s *MariaDBServer) Exec(statements string) {
	s.t.Helper()
	conn, err := s.connect(s.User, s.Password, "")
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(context.Background(), statements); err != nil {
		s.t.Fatalf("%s: %v", statements, err)
	}
}

// QueryRow runs a query as the administrator and scans its first row into dest, pointers.
func (s *MariaDBServer) QueryRow(query string, dest ...any) {
	s.t.Helper()
	conn, err := s.connect(s.User, s.Password, "")
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.QueryRowContext(context.Background(), query).Scan(dest...); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
}

// Users lists the accounts (roles are none) whose names begin with prefix, as mysql.user has them now.
func (s *MariaDBServer) Users(prefix string) []string {
	s.t.Helper()
	var list sql.NullString
	s.QueryRow("SELECT GROUP_CONCAT(User ORDER BY User SEPARATOR ' ') FROM mysql.user WHERE is_role <> 'Y' AND LEFT(User, "+
		strconv.Itoa(len(prefix))+") = '"+prefix+"'", &list)
	return strings.Fields(list.String)
}

// Log is what the server has written so far: its own words, and every statement.
func (s *MariaDBServer) Log() string {
	var all []string
	for _, name := range []string{"log", "statements"} {
		b, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			b = fmt.Appendf(nil, "(no %s: %v)", name, err)
		}
		all = append(all, string(b))
	}
	return strings.Join(all, "\n")
}
