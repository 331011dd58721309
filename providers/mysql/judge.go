package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/with-creds/with-creds/providers"
)

// judge refuses a role that is not there, or through which the command could make logins that outlive its own; and warns of one that can do
// other things a revocation does not undo. Roles of the role count.
//
// Who may write to the schema mysql needs no CREATE USER: INSERT there lets one make users, and UPDATE set others' passwords, by either server's manual. Nor does who
// may make routines that run as somebody else. GRANT OPTION alone lets one pass rights on, and make nobody.
func (c *connection) judge(ctx context.Context, q request) ([]string, error) {
	reached := `SELECT m.Role FROM mysql.roles_mapping m JOIN reached ON m.User = reached.name AND m.Host = ''`
	is, host := "u.is_role = 'Y'", "''"
	others := `(SELECT JSON_VALUE(g.Priv, '$.access') & (1 << 30) <> 0 FROM mysql.global_priv g WHERE g.User = u.User AND g.Host = u.Host)` // SET USER
	if !c.mariadb {
		reached = `SELECT m.FROM_USER FROM mysql.role_edges m JOIN reached ON m.TO_USER = reached.name AND m.TO_HOST = '%'`
		is, host = "u.Host = '%'", "'%'"
		others = `EXISTS (SELECT 1 FROM mysql.global_grants g WHERE g.USER = u.User AND g.HOST = u.Host AND g.PRIV IN ('SET_USER_ID', 'SET_ANY_DEFINER', 'ROLE_ADMIN'))`
	}
	reaching := `WITH RECURSIVE reached(name) AS (SELECT CAST(` + literal(q.role) + ` AS CHAR(128)) UNION ` + reached + `)
		`
	// The name of a schema is a pattern in mysql.db, and nowhere else.
	results, err := c.exec(ctx, reaching+`SELECT u.User, u.Create_user_priv, u.Super_priv, u.Grant_priv, u.File_priv, u.Insert_priv, u.Update_priv, IF(`+others+`, 'Y', 'N')
		FROM reached JOIN mysql.user u ON BINARY u.User = BINARY reached.name AND `+is+`;
		`+reaching+`SELECT reached.name, p.place FROM reached JOIN (
			SELECT User, CONCAT(Db, '.*') AS place FROM mysql.db
				WHERE Host = `+host+` AND 'mysql' LIKE Db ESCAPE '\' AND 'Y' IN (Insert_priv, Update_priv)
			UNION SELECT User, CONCAT(Db, '.', Table_name) FROM mysql.tables_priv
				WHERE Host = `+host+` AND Db = 'mysql' AND (FIND_IN_SET('Insert', Table_priv) OR FIND_IN_SET('Update', Table_priv))
			UNION SELECT User, CONCAT(Db, '.', Table_name) FROM mysql.columns_priv
				WHERE Host = `+host+` AND Db = 'mysql' AND (FIND_IN_SET('Insert', Column_priv) OR FIND_IN_SET('Update', Column_priv))
		) p ON BINARY p.User = BINARY reached.name`, rows(8), rows(2))
	if err != nil {
		return nil, fmt.Errorf("looking at the role: %w", spoken{err})
	}
	var powerful, warnings []string
	found, writes := false, false
	for _, row := range results[0] {
		found = found || row[0] == q.role
		has := func(column int) bool { return row[column] == "Y" }
		if has(1) {
			powerful = append(powerful, row[0]+" has CREATE USER")
		}
		if has(2) {
			powerful = append(powerful, row[0]+" has SUPER")
		}
		if has(3) {
			warnings = append(warnings, fmt.Sprintf("role %s has GRANT OPTION everywhere: what the command grants to others is not undone", row[0]))
		}
		if has(4) {
			warnings = append(warnings, fmt.Sprintf("role %s has FILE: what the command writes on the server's machine is not undone", row[0]))
		}
		if has(5) || has(6) {
			powerful, writes = append(powerful, row[0]+" has INSERT or UPDATE on *.*, and so on the accounts in mysql"), true
		}
		if has(7) {
			powerful = append(powerful, row[0]+" may act as other users (SET USER; MySQL: SET_USER_ID, SET_ANY_DEFINER, ROLE_ADMIN)")
		}
	}
	for _, row := range results[1] {
		powerful, writes = append(powerful, row[0]+" has INSERT or UPDATE on "+row[1]), true
	}
	switch {
	case !found:
		return nil, providers.Refused(fmt.Errorf("there is no such role: CREATE ROLE %s, and grant it what the command may do", ident(q.role)))
	case powerful != nil:
		instead := "name a role without"
		if writes {
			instead += ", or grant those on the application's own schemas (ON shop.*)"
		}
		return nil, providers.Refused(errors.New(strings.Join(powerful, ", ") + ", so the command could make logins that outlive its own: " + instead))
	}
	return warnings, nil
}
