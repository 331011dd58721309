//go:build !windows

package harness

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A RedisServer is a throwaway Redis with an ACL: its default user has a password made at run time and may do everything.
type RedisServer struct {
	Host     string // "127.0.0.1"
	Port     int
	Password string // of the user default

	d   *daemon
	cli string
}

// Redis starts Debian's redis-server, which keeps nothing, on a free port of 127.0.0.1, and stops it when the test ends.
func Redis(t testing.TB) *RedisServer {
	t.Helper()
	d := newDaemon(t, "redis")
	s := &RedisServer{Host: "127.0.0.1", Port: FreePort(t), Password: newPassword(), d: d, cli: d.program("redis-cli", "redis-tools")}
	server := d.program("redis-server", "redis-server")
	config := d.write("redis.conf", fmt.Sprintf("bind %s\nport %d\nrequirepass %s\nsave \"\"\nappendonly no\ndir %s\n", s.Host, s.Port, s.Password, d.dir))
	d.start(30*time.Second, func() error {
		_, err := s.try("PING")
		return err
	}, nil, server, config)
	return s
}

// Do sends a command as the administrator and returns what redis-cli prints.
func (s *RedisServer) Do(args ...string) string {
	s.d.t.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.d.t.Fatal(err)
	}
	return out
}

func (s *RedisServer) try(args ...string) (string, error) {
	c := exec.Command(s.cli, append([]string{"-h", s.Host, "-p", strconv.Itoa(s.Port), "-e"}, args...)...)
	c.Env = []string{"REDISCLI_AUTH=" + s.Password, "HOME=" + s.d.dir}
	out, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("redis-cli %s: %w: %s", args[0], err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// Users lists the users that Vault made.
func (s *RedisServer) Users() []string {
	s.d.t.Helper()
	var users []string
	for _, name := range strings.Fields(s.Do("ACL", "USERS")) {
		if name != "default" {
			users = append(users, name)
		}
	}
	return users
}
