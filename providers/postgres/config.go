package postgres

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/with-creds/with-creds/providers/sqluser"
)

// neutral says "not set" to pgx for every keyword that it would otherwise fill in from the process's own environment, which is
// not where settings come from (TestConnectionIgnoresTheProcessEnvironment compares the list with pgx's own).
var neutral = map[string]string{
	"host": "", "port": "", "dbname": "", "user": "", "password": "", "passfile": "", "application_name": "", "connect_timeout": "0",
	"sslmode": "disable", "sslkey": "", "sslcert": "", "sslcertmode": "allow", "sslsni": "", "sslrootcert": "", "sslpassword": "",
	"sslnegotiation": "", "target_session_attrs": "any", "timezone": "", "options": "", "min_protocol_version": "",
	"max_protocol_version": "", "channel_binding": "", "require_auth": "",
}

// config is what pgx needs to connect to the database under an application name.
func (t target) config(database, application string) (*pgconn.Config, error) {
	settings := maps.Clone(neutral)
	maps.Copy(settings, t.Settings)
	settings["dbname"] = database
	settings["sslmode"] = "disable" // TLS is set below, from the files' content: pgx would read the files again
	c, err := parse(settings)
	if err != nil {
		return nil, err
	}
	c.Password = t.Password
	c.DialFunc = pgconn.DialFunc(sqluser.Bounded(sqluser.Dial(c.DialFunc)))
	c.RuntimeParams = map[string]string{"application_name": application, "client_encoding": "UTF8"}
	if options := t.Settings["options"]; options != "" {
		c.RuntimeParams["options"] = options
	}
	if err := t.setTLS(c); err != nil {
		return nil, err
	}
	return c, nil
}

// parse is pgconn.ParseConfig, the only way to make a Config, kept from the process's environment.
func parse(settings map[string]string) (*pgconn.Config, error) {
	settings = maps.Clone(settings)
	// A service cannot be set to "none". Where the process's environment names one, it is overruled by one that says nothing.
	if name, _ := os.LookupEnv("PGSERVICE"); name != "" {
		dir, err := os.MkdirTemp("", "with-creds-")
		if err != nil {
			return nil, fmt.Errorf("keeping PGSERVICE of the environment out (unset it): %w", err)
		}
		defer os.RemoveAll(dir)
		settings["service"], settings["servicefile"] = "none", filepath.Join(dir, "service")
		if err := os.WriteFile(settings["servicefile"], []byte("[none]\n"), 0o600); err != nil {
			return nil, fmt.Errorf("keeping PGSERVICE of the environment out (unset it): %w", err)
		}
	}
	var text strings.Builder
	escape := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	for _, keyword := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s='%s' ", keyword, escape.Replace(settings[keyword]))
	}
	c, err := pgconn.ParseConfig(text.String())
	if err != nil {
		// The password is not in the text, but all the other settings are: only what is wrong is worth a person's time.
		why := err.Error()
		if _, after, found := strings.Cut(why, "`: "); found {
			why = after
		}
		return nil, errors.New("the connection settings: " + why)
	}
	return c, nil
}
