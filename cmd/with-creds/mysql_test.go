//go:build linux

package main

import (
	"fmt"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

// TestMySQLsOwnClientsUseWhatTheyAreGiven runs the client and the dump program, over TCP and over the socket, by variables and by the option file.
func TestMySQLsOwnClientsUseWhatTheyAreGiven(t *testing.T) {
	for _, program := range []string{"mariadb", "mariadb-dump"} {
		if _, err := exec.LookPath(program); err != nil {
			harness.Missing(t, "%s (Debian: apt-get install mariadb-client)", program)
		}
	}
	db := harness.MariaDB(t, harness.MariaDBSetting("event-scheduler", "ON"))
	db.Exec("CREATE DATABASE shop; USE shop; CREATE TABLE orders (id INT); INSERT INTO orders VALUES (4711); CREATE ROLE readonly; GRANT SELECT, LOCK TABLES ON shop.* TO readonly")
	for name, test := range map[string]struct {
		env   map[string]string
		where string // what the client is told beside: Debian's option files say where the server is, and outrank the environment
	}{
		"TCP":           {map[string]string{"MYSQL_HOST": db.Host, "MYSQL_TCP_PORT": strconv.Itoa(db.Port)}, `-h "$MYSQL_HOST"`},
		"localhost":     {map[string]string{"WITH_CREDS_MYSQL_URL": fmt.Sprintf("mysql://localhost:%d", db.Port)}, `-h "$MYSQL_HOST"`},
		"socket":        {map[string]string{"MYSQL_UNIX_PORT": db.Socket}, `-S "$MYSQL_UNIX_PORT"`},
		"socket in URL": {map[string]string{"WITH_CREDS_MYSQL_URL": "mysql:///?socket=" + url.QueryEscape(db.Socket)}, `-S "$MYSQL_UNIX_PORT"`},
	} {
		t.Run(name, func(t *testing.T) {
			env := test.env
			env["MYSQL_USER"], env["MYSQL_PWD"] = db.User, db.Password
			s := &source{specs: []string{"mysql:readonly?database=shop as=mysql"}, env: env, left: func() []string { return db.Users("wc_") }}
			tr := newTrial(t, s, nil, "sh", "-ec", strings.ReplaceAll(`mariadb -u "$MYSQL_USER" WHERE -N -e 'SELECT id, CURRENT_USER() FROM shop.orders' >rows
printf '[client]\nuser=another\npassword=others\n' >"$HOME/.my.cnf"
mariadb-dump --defaults-file="$MYSQL_DEFAULTS_FILE" --host="$MYSQL_HOST" --single-transaction shop >dump; rm "$HOME/.my.cnf"
! mariadb -u "$MYSQL_USER" WHERE -e 'DELETE FROM shop.orders' 2>refused`, "WHERE", test.where))
			if code := tr.run(); code != 0 {
				t.Fatalf("exit code %d; stderr:\n%s", code, tr.stderr)
			}
			if rows := tr.file("rows"); !strings.HasPrefix(rows, "4711\twc_readonly_") {
				t.Errorf("read %q", rows)
			}
			if dump := tr.file("dump"); !strings.Contains(dump, "INSERT INTO `orders` VALUES\n(4711)") && !strings.Contains(dump, "INSERT INTO `orders` VALUES (4711)") {
				t.Errorf("dumped %q", dump)
			}
			if refused := tr.file("refused"); !strings.Contains(refused, "denied") {
				t.Errorf("writing: %q", refused)
			}
			tr.endedClean()
		})
	}
}
