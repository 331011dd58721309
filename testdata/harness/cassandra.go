//go:build !windows

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A CassandraServer is a throwaway Cassandra of one node, which asks for passwords and keeps to what a role was granted.
type CassandraServer struct {
	Host     string // "127.0.0.1"
	Port     int
	User     string // the superuser
	Password string // the superuser's, made at run time
	CQLSH    string // the path of cqlsh

	d *daemon
}

// cassandraModules are what Cassandra 5.0 needs opened of Java 17 (its conf/jvm17-server.options).
const cassandraModules = `
	exports:java.base/jdk.internal.misc exports:java.base/jdk.internal.ref exports:java.base/sun.nio.ch
	exports:java.management.rmi/com.sun.jmx.remote.internal.rmi exports:java.rmi/sun.rmi.registry exports:java.rmi/sun.rmi.server exports:java.sql/java.sql
	opens:java.base/java.lang opens:java.base/java.lang.module opens:java.base/java.lang.reflect opens:java.base/java.io opens:java.base/java.nio
	opens:java.base/java.util opens:java.base/java.util.concurrent opens:java.base/java.util.concurrent.atomic opens:java.base/java.math
	opens:java.base/java.net opens:java.base/jdk.internal.loader opens:java.base/jdk.internal.ref opens:java.base/jdk.internal.reflect
	opens:java.base/jdk.internal.math opens:java.base/jdk.internal.module opens:java.base/jdk.internal.util.jar opens:java.base/sun.nio.ch
	opens:jdk.management/com.sun.management.internal opens:java.management/com.sun.jmx.mbeanserver`

// Cassandra starts the server that testdata/servers/install puts into Cache, on free ports of 127.0.0.1, which takes about twenty seconds, and stops
// it when the test ends.
func Cassandra(t testing.TB) *CassandraServer {
	t.Helper()
	home := filepath.Join(Cache(t), "cassandra")
	if _, err := os.Stat(filepath.Join(home, "installed")); err != nil {
		Missing(t, "cassandra in %s", home)
	}
	d := newDaemon(t, "cassandra")
	s := &CassandraServer{Host: "127.0.0.1", Port: FreePort(t), User: "boss", Password: newPassword(), CQLSH: filepath.Join(home, "client", "bin", "cqlsh"), d: d}
	config := d.write("cassandra.yaml", fmt.Sprintf(`
cluster_name: test
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "%[1]s:%[3]d"
listen_address: %[1]s
rpc_address: %[1]s
native_transport_port: %[2]d
storage_port: %[3]d
endpoint_snitch: SimpleSnitch
authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
role_manager: CassandraRoleManager
roles_validity: 0ms
permissions_validity: 0ms
credentials_validity: 0ms
commitlog_sync: periodic
commitlog_sync_period: 10000ms
commitlog_total_space: 64MiB
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
concurrent_reads: 4
concurrent_writes: 4
concurrent_compactors: 1
file_cache_enabled: false
disk_failure_policy: die
commit_failure_policy: die
`, s.Host, s.Port, FreePort(t)))
	args := []string{
		d.program("java", "default-jre-headless"), "-Xms384m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
		"-Djdk.attach.allowAttachSelf=true", "-Dcassandra-foreground=yes",
		"-Dcassandra.config=file://" + config, "-Dcassandra.storagedir=" + d.path("data"),
		"-Dcassandra.superuser_setup_delay_ms=0", "-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra.ring_delay_ms=1",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
	}
	for _, module := range strings.Fields(cassandraModules) {
		how, what, _ := strings.Cut(module, ":")
		args = append(args, "--add-"+how, what+"=ALL-UNNAMED")
	}
	args = append(args, "-cp", filepath.Join(home, "lib", "*"), "org.apache.cassandra.service.CassandraDaemon")
	d.start(3*time.Minute, func() error {
		if _, err := os.Stat(d.path("log")); err != nil {
			return err
		}
		return s.try("cassandra", "cassandra", "LIST ROLES")
	}, nil, args...)
	// The account that a server has at first is known to everybody.
	s.must("cassandra", "cassandra", fmt.Sprintf("CREATE ROLE %s WITH SUPERUSER = true AND LOGIN = true AND PASSWORD = '%s'", s.User, s.Password))
	s.Exec("DROP ROLE cassandra")
	return s
}

// Exec runs statements as the superuser and returns what cqlsh prints.
func (s *CassandraServer) Exec(cql string) string {
	s.d.t.Helper()
	return s.must(s.User, s.Password, cql)
}

func (s *CassandraServer) must(user, password, cql string) string {
	s.d.t.Helper()
	out, err := s.cqlsh(user, password, cql)
	if err != nil {
		s.d.t.Fatal(err)
	}
	return out
}

func (s *CassandraServer) try(user, password, cql string) error {
	_, err := s.cqlsh(user, password, cql)
	return err
}

func (s *CassandraServer) cqlsh(user, password, cql string) (string, error) {
	c := exec.Command(s.CQLSH, s.Host, strconv.Itoa(s.Port), "-u", user, "-p", password, "--request-timeout=60", "--connect-timeout=30", "-e", cql)
	c.Env = []string{"HOME=" + s.d.dir, "PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
	out, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("cqlsh: %w: %s", err, out)
	}
	return string(out), nil
}
