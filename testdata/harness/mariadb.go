//go:build !windows

package harness

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// A MariaDBServer is a throwaway MariaDB server: it listens on a free port of 127.0.0.1 and on a Unix socket in its own directory,
// logs every statement, has no anonymous users, and does not sync to disk.
//
// Its methods end the test on failure, and are for one goroutine at a time except Exec, QueryRow, Connect, Users, Log and URL.
type MariaDBServer struct{ sqlServer }

// A MariaDBOption changes how the server is started.
type MariaDBOption func(*MariaDBServer)

// MariaDBSetting sets an option of the server ("event-scheduler", "ON").
func MariaDBSetting(name, value string) MariaDBOption {
	return func(s *MariaDBServer) { s.settings = append(s.settings, "--"+name+"="+value) }
}

var mariadbTemplate template

// MariaDB starts a server of Debian's mariadb-server package, stops it when the test ends, and at the latest when the test's process
// dies. As root it runs under the account mysql, as the package's own does.
func MariaDB(t testing.TB, opts ...MariaDBOption) *MariaDBServer {
	t.Helper()
	d := newDaemon(t, "mariadb")
	s := &MariaDBServer{sqlServer{Host: "127.0.0.1", Socket: d.path("socket"), User: "boss", daemon: d, scheme: "mysql", shutdown: syscall.SIGTERM}}
	d.program("mariadbd", "mariadb-server")
	d.runAs("mysql")
	s.Password = mariadbTemplate.unpack(d, s.install)
	for _, opt := range opts {
		opt(s)
	}
	s.Port = FreePort(t)
	s.Start()
	return s
}

// mariadbSmall makes the data directory small enough to be copied for each test.
var mariadbSmall = []string{"--innodb-log-file-size=4M", "--innodb-data-file-path=ibdata1:4M:autoextend", "--innodb-undo-tablespaces=0"}

func (s *MariaDBServer) install(data, _ string) error {
	argv := append([]string{s.program("mariadb-install-db", "mariadb-server"), "--no-defaults", "--datadir=" + data, "--tmpdir=" + data, "--auth-root-authentication-method=normal",
		"--skip-test-db", "--skip-name-resolve"}, mariadbSmall...)
	if out, err := s.command(nil, argv...).CombinedOutput(); err != nil {
		return fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	return nil
}

// Start starts a stopped server on the port it had and waits until it answers.
func (s *MariaDBServer) Start() {
	s.t.Helper()
	// The administrator comes to be before the server listens.
	init := s.write("init.sql", "CREATE USER IF NOT EXISTS "+s.User+" IDENTIFIED BY '"+s.Password+"';\nGRANT ALL ON *.* TO "+s.User+" WITH GRANT OPTION;\n")
	// Its temporary tables are in a directory of its own, too: a server that starts removes those it finds, and crashed the others, which had them in /tmp.
	argv := append([]string{s.program("mariadbd", "mariadb-server"), "--no-defaults", "--datadir=" + s.path("data"), "--tmpdir=" + s.path("data"), "--bind-address=" + s.Host,
		"--port=" + strconv.Itoa(s.Port), "--socket=" + s.Socket, "--pid-file=" + s.path("pid"), "--init-file=" + init,
		"--skip-name-resolve", "--innodb-buffer-pool-size=8M", "--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync",
		"--key-buffer-size=1M", "--aria-pagecache-buffer-size=8M", "--max-connections=300",
		"--general-log=1", "--general-log-file=" + s.path("statements"),
	}, mariadbSmall...)
	s.start(60*time.Second, func() error {
		conn, err := s.connect(s.User, s.Password, "")
		if err == nil {
			conn.Close()
		}
		return err
	}, nil, append(argv, s.settings...)...)
}

func (s *MariaDBServer) connect(user, password, database string) (*sql.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", s.Address()
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

// admin opens a session of the administrator's.
func (s *MariaDBServer) admin() *sql.Conn {
	s.t.Helper()
	conn, err := s.connect(s.User, s.Password, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// Exec runs statements, several if need be, as the administrator.
func (s *MariaDBServer) Exec(statements string) {
	s.t.Helper()
	conn := s.admin()
	defer conn.Close()
	if _, err := conn.ExecContext(context.Background(), statements); err != nil {
		s.t.Fatalf("%s: %v", statements, err)
	}
}

// QueryRow runs a query as the administrator and scans its first row into dest, pointers.
func (s *MariaDBServer) QueryRow(query string, dest ...any) {
	s.t.Helper()
	conn := s.admin()
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
func (s *MariaDBServer) Log() string { return s.log() + "\n" + s.read("statements") }
