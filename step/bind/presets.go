package bind

// A Preset is a named set of bindings for one family of clients.
type Preset struct {
	Name     string
	About    string // one line: what a client finds
	Clients  string // which read it without being told
	Bindings string // in the grammar of spec.ParsePreset; ? marks what is bound only where the credential has the field
}

// BuiltIns are the presets of this package, sorted by name.
//
// To add one, add an entry: its names may be ones that are refused elsewhere (see refuse.go), for they were chosen here
// with care. Bind what the family's own clients read by themselves, cite where they say so, and give what they cannot
// read from the environment as a file. TestPresetsAreWellFormed holds an entry to the grammar and the order.
func BuiltIns() []Preset {
	return []Preset{
		{
			// No client takes the user from the environment: libmysqlclient asks the system for the login name
			// (sql-common/client.cc, read_user_name), and MYSQL_HOST is read by the mysql client alone. So the pair is given
			// twice: for --user="$MYSQL_USER" with MYSQL_PWD, and as a file for --defaults-extra-file="$MYSQL_DEFAULTS_FILE",
			// which MySQL's manual prefers (8.0: "End-User Guidelines for Password Security", "Environment Variables") and
			// which follows a rotation, as a variable cannot.
			Name:    "mysql",
			About:   `MYSQL_USER and MYSQL_PWD, and an option file for --defaults-extra-file="$MYSQL_DEFAULTS_FILE"`,
			Clients: "mysql, mysqldump, mysqladmin, mariadb, mariadb-dump and all on libmysqlclient or MariaDB Connector/C",
			Bindings: `MYSQL_USER=username MYSQL_PWD=password MYSQL_HOST=host? MYSQL_TCP_PORT=port? MYSQL_DATABASE=database?
				MYSQL_DEFAULTS_FILE=@'[client]
user="{username|mycnf}"
password="{password|mycnf}"
'`,
		},
		{
			// PostgreSQL's manual, "34.15. Environment Variables" (libpq).
			Name:     "postgres",
			About:    "PGUSER and PGPASSWORD, and PGHOST, PGPORT, PGDATABASE, PGSSLMODE where the credential knows them",
			Clients:  "psql, pg_dump, pg_restore, pgbench and all on libpq, pgx, lib/pq, psycopg, asyncpg, node-postgres, npgsql",
			Bindings: `PGUSER=username PGPASSWORD=password PGHOST=host? PGPORT=port? PGDATABASE=database? PGSSLMODE=sslmode?`,
		},
	}
}

// BuiltIn returns the preset of that name.
func BuiltIn(name string) (Preset, bool) {
	for _, p := range BuiltIns() {
		if p.Name == name {
			return p, true
		}
	}
	return Preset{}, false
}
