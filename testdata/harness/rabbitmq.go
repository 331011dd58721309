//go:build !windows

package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// A RabbitMQServer is a throwaway RabbitMQ with its management API.
type RabbitMQServer struct {
	URL      string // of the management API
	Host     string // "127.0.0.1:port", for AMQP
	User     string // the administrator
	Password string // made at run time

	d *daemon
}

// RabbitMQ starts Debian's server on free ports of 127.0.0.1, which takes about five seconds, and stops it when the test ends.
func RabbitMQ(t testing.TB) *RabbitMQServer {
	t.Helper()
	// Not the one on PATH, which insists on an account of its own.
	const server = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	epmd, _ := filepath.Glob("/usr/lib/erlang/erts-*/bin/epmd")
	if !executable(server) || len(epmd) == 0 {
		Missing(t, "%s (Debian: apt-get install rabbitmq-server)", server)
	}
	port, api, names := FreePort(t), FreePort(t), FreePort(t)
	// The register of Erlang's names: started by the server it would outlive it.
	register := newDaemon(t, "epmd")
	register.start(30*time.Second, func() error {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", names))
		if err == nil {
			conn.Close()
		}
		return err
	}, nil, epmd[0], "-port", fmt.Sprint(names), "-address", "127.0.0.1")

	d := newDaemon(t, "rabbitmq")
	s := &RabbitMQServer{
		URL: fmt.Sprintf("http://127.0.0.1:%d", api), Host: fmt.Sprintf("127.0.0.1:%d", port), User: "boss", Password: newPassword(), d: d,
	}
	d.write("rabbitmq.conf", fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = %d\ndefault_user = %s\ndefault_pass = %s\n",
		port, api, s.User, s.Password))
	d.start(2*time.Minute, func() error { return s.get("/api/whoami", nil) }, []string{
		"RABBITMQ_NODENAME=test" + fmt.Sprint(port) + "@localhost",
		"RABBITMQ_MNESIA_BASE=" + d.path("mnesia"), "RABBITMQ_LOG_BASE=" + d.path("logs"), "RABBITMQ_LOGS=-",
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + d.write("plugins", "[rabbitmq_management].\n"),
		"RABBITMQ_CONFIG_FILE=" + d.path("rabbitmq"), "RABBITMQ_CONF_ENV_FILE=" + d.path("none"), "RABBITMQ_PID_FILE=" + d.path("pid"),
		"ERL_EPMD_PORT=" + fmt.Sprint(names), "ERL_EPMD_ADDRESS=127.0.0.1", "RABBITMQ_DIST_PORT=" + fmt.Sprint(FreePort(t)),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
	}, server)
	return s
}

// Users lists the users there are beside the administrator.
func (s *RabbitMQServer) Users() []string {
	s.d.t.Helper()
	var users []struct{ Name string }
	if err := s.get("/api/users", &users); err != nil {
		s.d.t.Fatal(err)
	}
	var names []string
	for _, u := range users {
		if u.Name != s.User {
			names = append(names, u.Name)
		}
	}
	return names
}

// get reads something of the management API as the administrator; into may be nil.
func (s *RabbitMQServer) get(path string, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, http.NoBody)
	if err != nil {
		return err
	}
	r.SetBasicAuth(s.User, s.Password)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, answer.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(answer.Body).Decode(into)
}
