//go:build linux

package engines

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/engines/trial"
	"github.com/with-creds/with-creds/testdata/harness"
)

func withPostgres(t *testing.T) (*trial.World, *harness.PostgresServer) {
	t.Helper()
	w := trial.New(t)
	pg := harness.Postgres(t)
	w.Vault.EnablePostgres(pg)
	w.Env = []string{"PGHOST=" + pg.Host, "PGPORT=" + strconv.Itoa(pg.Port), "PGDATABASE=app", "PGSSLMODE=disable",
		"PGSERVICE=another", "PGUSER=" + pg.User, "PGPASSWORD=" + pg.Password}
	return w, pg
}

func TestPostgreSQLDynamicRole(t *testing.T) {
	w, pg := withPostgres(t)
	w.Run("vault:database/creds/readonly as=postgres", `
		psql -XAtc 'select count(*) from items'
		pg_dump -t items --data-only >dump.sql && grep -c '^[0-9]' dump.sql
		psql -XAtc 'create table t ()' 2>/dev/null || echo refused`).
		Succeeded(providers.Proven).Says("100", "refused")
	w.Example("sql/report.sh").Succeeded(providers.Proven).Says("items,last", "100,100")
	if left := pg.Roles("v-"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestPostgreSQLServiceAndPasswordFiles(t *testing.T) {
	w, pg := withPostgres(t)
	w.Run("vault:database/creds/readonly as=postgres-files", `
		test -z "${PGPASSWORD-}${PGUSER-}"
		psql -XAtc 'select count(*) from items'
		user=$(sed -n s/^user=//p "$PGSERVICEFILE")
		env -u PGSERVICE -u PGSERVICEFILE PGUSER=$user psql -XAtc "select 'by the password file'"
		stat -c %a "$PGPASSFILE" "$PGSERVICEFILE"`).
		Succeeded(providers.Proven).Says("100", "by the password file", "600")
	if left := pg.Roles("v-"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestPostgreSQLStaticRoleIsFetchedAgainWhenItsPasswordRotates(t *testing.T) {
	w, pg := withPostgres(t)
	pg.Exec("app", "CREATE ROLE app_static LOGIN; GRANT SELECT ON items TO app_static")
	w.Vault.Write("database/static-roles/app", map[string]any{"db_name": "postgresql", "username": "app_static", "rotation_period": "8s"})
	// A minute at most: until the password has changed twice and each new one was good for a login.
	r := w.Run("vault:database/static-creds/app as=postgres-files", `
		seen=; changes=0; end=$(($(date +%s) + 60))
		while [ $changes -lt 3 ] && [ "$(date +%s)" -lt $end ]; do
			now=$(cksum <"$PGPASSFILE")
			if [ "$now" != "$seen" ] && psql -XAtc 'select count(*) from items' >/dev/null 2>&1; then seen=$now; changes=$((changes + 1)); fi
			sleep 0.1
		done
		echo "changes $changes"`).
		Succeeded(providers.Expires).Says("changes 3")
	c := r.Receipt.Credentials[0]
	if c.Replacements < 2 || c.Username != "app_static" {
		t.Errorf("the receipt has %d replacements for %q", c.Replacements, c.Username)
	}
	// What the receipt has is the last password: the first ended within 8 s.
	if end := c.Revocation.At; end.Sub(r.Receipt.Started) < 9*time.Second || end.Sub(r.Receipt.Ended) > 9*time.Second {
		t.Errorf("the receipt has an end %v after the run's beginning, and %v after its end", end.Sub(r.Receipt.Started), end.Sub(r.Receipt.Ended))
	}
}

// What a static role's password is goes into variables as it is then; the end is told.
func TestPostgreSQLStaticRoleInVariables(t *testing.T) {
	w, pg := withPostgres(t)
	pg.Exec("app", "CREATE ROLE app_static LOGIN; GRANT SELECT ON items TO app_static")
	w.Vault.Write("database/static-roles/app", map[string]any{"db_name": "postgresql", "username": "app_static", "rotation_period": "1h"})
	w.Run("vault:database/static-creds/app as=postgres", `psql -XAtc 'select current_user, count(*) from items'`).
		Succeeded(providers.Expires).Says("app_static|100").Lasts(time.Hour)
}

func TestMariaDB(t *testing.T) {
	trial.Has(t, "mariadb-dump", "mariadb-client")
	w := trial.New(t)
	db := harness.MariaDB(t)
	db.Exec("CREATE DATABASE shop; CREATE TABLE shop.items (id INT PRIMARY KEY); INSERT INTO shop.items VALUES (1), (2), (3)")
	w.Mount("database")
	w.Vault.Write("database/config/mariadb", map[string]any{
		"plugin_name": "mysql-database-plugin", "allowed_roles": "*", "username": db.User, "password": db.Password,
		"connection_url": "{{username}}:{{password}}@tcp(" + net.JoinHostPort(db.Host, strconv.Itoa(db.Port)) + ")/",
	})
	w.Vault.DatabaseRole("dump", "mariadb", "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; GRANT SELECT, LOCK TABLES ON shop.* TO '{{name}}'@'%';", "1h", "24h")
	w.Env = []string{"AT=--protocol=tcp --host=" + db.Host + " --port=" + strconv.Itoa(db.Port)}
	w.Run("vault:database/creds/dump as=mysql", `
		mariadb $AT --user="$MYSQL_USER" -Ne 'select count(*) from shop.items'
		unset MYSQL_PWD MYSQL_USER
		printf '[client]\nuser=another\npassword=others\n' >"$HOME/.my.cnf"
		mariadb-dump --defaults-file="$MYSQL_DEFAULTS_FILE" $AT shop items | grep -c 'INSERT INTO'
		mariadb --defaults-file="$MYSQL_DEFAULTS_FILE" $AT -Ne 'drop table shop.items' 2>/dev/null || echo refused`).
		Succeeded(providers.Proven).Says("3", "1", "refused")
	w.Env = []string{"DB_HOST=" + db.Host, "DB_PORT=" + strconv.Itoa(db.Port)}
	w.Example("sql/dump.sh", "shop").Succeeded(providers.Proven).Says("INSERT INTO `items` VALUES", "(3);")
	if left := db.Users("v-"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestRedis(t *testing.T) {
	w := trial.New(t)
	redis := harness.Redis(t)
	redis.Do("SET", "shop:stock", "7")
	w.Mount("database")
	w.Vault.Write("database/config/redis", map[string]any{
		"plugin_name": "redis-database-plugin", "allowed_roles": "*", "host": redis.Host, "port": redis.Port, "username": "default", "password": redis.Password,
	})
	w.Vault.DatabaseRole("reader", "redis", `["~shop:*", "+get", "+keys", "+ping", "+acl|whoami"]`, "1h", "24h")
	address := fmt.Sprintf("%s:%d", redis.Host, redis.Port)
	w.Env = []string{"AT=-h " + redis.Host + " -p " + strconv.Itoa(redis.Port)}
	w.Run("vault:database/creds/reader?host="+address+" as=redis", `
		redis-cli $AT --user "$REDIS_USERNAME" GET shop:stock
		env -u REDISCLI_AUTH redis-cli -u "$REDIS_URL" --no-auth-warning ACL WHOAMI | grep -c -i reader
		redis-cli $AT --user "$REDIS_USERNAME" SET shop:stock 0 | grep -c NOPERM`).
		Succeeded(providers.Proven).Says("7", "1")
	w.Env = []string{"CACHE_HOST=" + redis.Host, "CACHE_PORT=" + strconv.Itoa(redis.Port)}
	w.Example("nosql/stock.sh").Succeeded(providers.Proven).Says("shop:stock 7")
	if left := redis.Users(); len(left) > 0 {
		t.Errorf("left: %q", strings.Join(left, " "))
	}
}

func TestCassandra(t *testing.T) {
	w := trial.New(t)
	cassandra := harness.Cassandra(t)
	cassandra.Exec(`CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};
		CREATE TABLE shop.items (id int PRIMARY KEY, name text); INSERT INTO shop.items (id, name) VALUES (1, 'a lamp')`)
	w.Mount("database")
	w.Vault.Write("database/config/cassandra", map[string]any{
		"plugin_name": "cassandra-database-plugin", "allowed_roles": "*", "hosts": cassandra.Host, "port": cassandra.Port,
		"username": cassandra.User, "password": cassandra.Password, "protocol_version": 4, "connect_timeout": "60s",
	})
	w.Vault.DatabaseRole("reader", "cassandra", `CREATE USER '{{username}}' WITH PASSWORD '{{password}}' NOSUPERUSER; GRANT SELECT ON KEYSPACE shop TO '{{username}}';`, "1h", "24h")
	w.Env = []string{"CQLSH=" + cassandra.CQLSH, "AT=" + cassandra.Host + " " + strconv.Itoa(cassandra.Port)}
	w.Run("vault:database/creds/reader as=cassandra", `
		"$CQLSH" $AT --credentials "$CQLSH_CREDENTIALS" -e 'select name from shop.items'
		"$CQLSH" $AT --cqlshrc "$CQLSHRC" -e 'select id from shop.items' 2>/dev/null | grep -c '(1 rows)'
		"$CQLSH" $AT --credentials "$CQLSH_CREDENTIALS" -e "insert into shop.items (id, name) values (2, 'b')" 2>&1 | grep -o -m 1 Unauthorized`).
		Succeeded(providers.Proven).Says("a lamp", "1", "Unauthorized")
	w.Env = []string{"CQLSH=" + cassandra.CQLSH, "CQLSH_HOST=" + cassandra.Host, "CQLSH_PORT=" + strconv.Itoa(cassandra.Port)}
	w.Example("nosql/names.sh").Succeeded(providers.Proven).Says("a lamp")
	if roles := cassandra.Exec("LIST ROLES"); strings.Contains(roles, "reader") {
		t.Errorf("left:\n%s", roles)
	}
}

func TestRabbitMQ(t *testing.T) {
	trial.Has(t, "curl", "curl")
	w := trial.New(t)
	rabbit := harness.RabbitMQ(t)
	w.Mount("rabbitmq")
	w.Vault.Write("rabbitmq/config/connection", map[string]any{"connection_uri": rabbit.URL, "username": rabbit.User, "password": rabbit.Password})
	w.Vault.Write("rabbitmq/roles/reader", map[string]any{"tags": "monitoring", "vhosts": `{"/": {"configure": "", "write": "", "read": ".*"}}`})
	w.Env = []string{"API=" + rabbit.URL}
	r := w.Run("vault:rabbitmq/creds/reader?host="+rabbit.Host+" as=rabbitmq", `
		curl -sSf -u "$RABBITMQ_USERNAME:$RABBITMQ_PASSWORD" "$API/api/whoami" | jq -r '"as " + .name' | grep -c "as $RABBITMQ_USERNAME"
		curl -s -o answer -w '%{http_code}\n' -u "$RABBITMQ_USERNAME:$RABBITMQ_PASSWORD" -X PUT "$API/api/users/other" -d '{"password":"x","tags":""}'
		echo "url $AMQP_URL"`).
		Succeeded(providers.Proven).Says("1", "401")
	if _, url, _ := strings.Cut(r.Stdout, "url "); !strings.HasSuffix(strings.TrimSpace(url), ":***@"+rabbit.Host) {
		t.Errorf("AMQP_URL is %s", url)
	}
	if left := rabbit.Users(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
