//go:build !windows

package harness

import (
	"net"
	"net/url"
	"strconv"
	"syscall"
)

// A sqlServer is what the throwaway SQL servers have in common: a free port of 127.0.0.1, a Unix socket in the server's own directory, and
// one administrator who may do everything.
type sqlServer struct {
	Host     string // "127.0.0.1"
	Port     int
	Socket   string // PostgreSQL's directory, MariaDB's path
	User     string // the administrator
	Password string // the administrator's, made at run time; the same for all servers of a test binary

	*daemon
	scheme, query string         // of its URLs
	settings      []string       // for its command line
	shutdown      syscall.Signal // ends it the ordinary way
}

// Address is the host and the port.
func (s *sqlServer) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// URL is a connection string over TCP, without TLS.
func (s *sqlServer) URL(user, password, database string) string {
	u := url.URL{Scheme: s.scheme, User: url.UserPassword(user, password), Host: s.Address(), Path: "/" + database, RawQuery: s.query}
	return u.String()
}

// AdminURL is the administrator's connection string to the database.
func (s *sqlServer) AdminURL(database string) string { return s.URL(s.User, s.Password, database) }

// Stop ends the server the ordinary way: sessions are cut, data is kept.
func (s *sqlServer) Stop() { s.stop(s.shutdown) }

// Crash ends the server at once; Start recovers what was committed.
func (s *sqlServer) Crash() { s.stop(s.abort) }

// Pause freezes the server and all its sessions: connections are accepted by the kernel and nothing answers.
func (s *sqlServer) Pause() { s.process.pause(true) }

// Continue ends Pause.
func (s *sqlServer) Continue() { s.process.pause(false) }
