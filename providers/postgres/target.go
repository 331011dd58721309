package postgres

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgpassfile"
	"github.com/jackc/pgservicefile"

	"github.com/with-creds/with-creds/providers"
)

// urlVariable names the administrator's connection string; it outranks the PG* variables.
const urlVariable = "WITH_CREDS_POSTGRES_URL"

// A target is how to reach the server as the administrator: all of it, files included, so that another process, in another
// directory and environment, can. It holds secrets.
type target struct {
	Settings map[string]string `json:"settings"` // by libpq's keywords; none empty, no password, no name of a file
	Password string            `json:"password,omitempty"`
	RootCert string            `json:"root_cert,omitempty"` // PEM, or "system"
	Cert     string            `json:"cert,omitempty"`      // PEM
	Key      string            `json:"key,omitempty"`       // PEM
	// RootCertPath is what the command is told, whose libpq reads the file itself.
	RootCertPath string `json:"root_cert_path,omitempty"`
}

// String keeps the secrets out of logs.
func (t target) String() string { return "target(" + t.server() + ")" }

// GoString is String, so that %#v prints no secret either.
func (t target) GoString() string { return t.String() }

// keywords are libpq's connection keywords that are understood, each with its environment variable, if it has one
// (https://www.postgresql.org/docs/current/libpq-envars.html).
var keywords = map[string]string{
	"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER", "password": "PGPASSWORD",
	"passfile": "PGPASSFILE", "service": "PGSERVICE", "servicefile": "PGSERVICEFILE", "options": "PGOPTIONS",
	"connect_timeout": "PGCONNECT_TIMEOUT", "target_session_attrs": "PGTARGETSESSIONATTRS",
	"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY",
	"sslcertmode": "PGSSLCERTMODE", "sslsni": "PGSSLSNI", "sslnegotiation": "PGSSLNEGOTIATION",
	"channel_binding": "PGCHANNELBINDING", "require_auth": "PGREQUIREAUTH",
	"min_protocol_version": "PGMINPROTOCOLVERSION", "max_protocol_version": "PGMAXPROTOCOLVERSION",
	// Refused below: ignoring one would connect elsewhere, or check less, than libpq does.
	"hostaddr": "PGHOSTADDR", "sslpassword": "PGSSLPASSWORD", "sslcrl": "PGSSLCRL", "sslcrldir": "PGSSLCRLDIR",
	"requirepeer": "PGREQUIREPEER",
}

// ignored are keywords that change nothing here: no answer depends on them.
var ignored = []string{
	"application_name", "fallback_application_name", "client_encoding", "gssencmode", "krbsrvname", "sslcompression",
	"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "load_balance_hosts",
}

var refusedKeywords = map[string]string{
	"hostaddr":    "put the address into host",
	"sslpassword": "an encrypted client key is not supported: give the key decrypted, in a file only its owner can read",
	"sslcrl":      "certificate revocation lists are not supported",
	"sslcrldir":   "certificate revocation lists are not supported",
	"requirepeer": "the check of a socket's owner is not supported",
}

// resolve finds the administrator's connection as libpq would, by rank: the URL, the service it or PGSERVICE names, the PG*
// variables, the defaults. It reads the files they name and makes no network call.
func resolve(s providers.Settings) (target, error) {
	fromURL := map[string]string{}
	if text := strings.TrimSpace(s.Get(urlVariable)); text != "" { // secrets of a CI's often end in a line end
		var err error
		if fromURL, err = parseURL(text); err != nil {
			return target{}, fmt.Errorf("%s: %w", urlVariable, err)
		}
	}
	all := map[string]string{}
	for keyword, variable := range keywords {
		if value := s.Get(variable); value != "" {
			all[keyword] = value
		}
	}
	for keyword, value := range all {
		// Not printed: a URL put into the wrong variable has a password in it.
		if keyword != "password" && strings.Contains(value, "://") {
			return target{}, fmt.Errorf("the setting %s holds a URL: put it into %s", keywords[keyword], urlVariable)
		}
	}
	if service := first(fromURL["service"], all["service"]); service != "" {
		file := first(fromURL["servicefile"], all["servicefile"], home(s, ".pg_service.conf"))
		fromFile, err := readService(file, service)
		if err != nil {
			return target{}, err
		}
		maps.Copy(all, fromFile)
	}
	maps.Copy(all, fromURL)
	delete(all, "service")
	delete(all, "servicefile")

	for keyword, value := range all {
		if why, bad := refusedKeywords[keyword]; bad {
			return target{}, fmt.Errorf("the setting %s (%s): %s", keyword, keywords[keyword], why)
		}
		if strings.ContainsRune(value, 0) {
			return target{}, fmt.Errorf("the setting %s (%s) holds a NUL byte", keyword, keywords[keyword])
		}
	}
	if err := setDefaults(all); err != nil {
		return target{}, err
	}
	t := target{Settings: all}
	if err := t.readFiles(s); err != nil {
		return target{}, err
	}
	// Whatever else is wrong with the settings is found here, before anything is sent.
	config, err := t.config(all["dbname"], "")
	if err != nil {
		return target{}, err
	}
	// An omitted host has become the server's usual socket directory, or localhost. It is fixed now, so that a later look from
	// elsewhere cannot end up at another server.
	if all["host"] == "" {
		all["host"] = config.Host
	}
	return t, nil
}

// setDefaults fills in what depends on nothing but the other settings.
func setDefaults(all map[string]string) error {
	if all["user"] == "" {
		u, err := user.Current()
		if err != nil {
			return fmt.Errorf("no administrator's name, and none known for this account: set PGUSER or %s: %w", urlVariable, err)
		}
		all["user"] = u.Username
	}
	all["dbname"] = first(all["dbname"], all["user"])
	all["port"] = first(all["port"], "5432")
	for port := range strings.SplitSeq(all["port"], ",") {
		// Not printed: in a URL whose password holds an unescaped colon, part of the password lands here.
		if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
			return errors.New("the port is not a number from 1 to 65535 (in a URL, is the password percent-encoded?)")
		}
	}
	return nil
}

// readFiles replaces the names of files by what is in them.
func (t *target) readFiles(s providers.Settings) error {
	all := t.Settings
	take := func(keyword string) string {
		value := all[keyword]
		delete(all, keyword)
		return value
	}
	t.Password = take("password")
	if passfile := first(take("passfile"), home(s, ".pgpass")); t.Password == "" && passfile != "" {
		// A missing file is no error, in libpq neither: the server may not ask for a password.
		if entries, err := pgpassfile.ReadPassfile(passfile); err == nil {
			t.Password = t.findPassword(entries)
		}
	}
	root, cert, key := take("sslrootcert"), take("sslcert"), take("sslkey")
	if all["sslmode"] == "disable" || t.overSocket() {
		return nil
	}
	t.RootCertPath = root
	if root == "system" {
		t.RootCert = root
	} else if err := readFile(&t.RootCert, "sslrootcert", root, home(s, ".postgresql/root.crt")); err != nil {
		return err
	}
	if all["sslcertmode"] == "disable" {
		return nil
	}
	return errors.Join(
		readFile(&t.Cert, "sslcert", cert, home(s, ".postgresql/postgresql.crt")),
		readFile(&t.Key, "sslkey", key, home(s, ".postgresql/postgresql.key")))
}

// readFile reads the file named by a setting, which must exist, or else the usual one, which need not.
func readFile(into *string, setting, named, usual string) error {
	path := first(named, usual)
	if path == "" {
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil && named == "" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the file of %s (%s): %w", setting, keywords[setting], err)
	}
	*into = string(content)
	return nil
}

// findPassword looks the first host up, as libpq does: a socket counts as localhost.
func (t *target) findPassword(entries *pgpassfile.Passfile) string {
	host, _, _ := strings.Cut(t.Settings["host"], ",")
	port, _, _ := strings.Cut(t.Settings["port"], ",")
	if host == "" || filepath.IsAbs(host) {
		host = "localhost"
	}
	return entries.FindPassword(host, port, t.Settings["dbname"], t.Settings["user"])
}

// overSocket reports whether every host is a Unix socket's directory, where TLS has no place.
func (t *target) overSocket() bool {
	if t.Settings["host"] == "" {
		return false
	}
	return !slices.ContainsFunc(strings.Split(t.Settings["host"], ","), func(host string) bool { return !filepath.IsAbs(host) })
}

// server names the server for people, and in a lease, so that a role is not looked for, and found missing, on another one.
func (t target) server() string {
	return t.Settings["host"] + ":" + t.Settings["port"]
}

func readService(file, name string) (map[string]string, error) {
	if file == "" {
		return nil, fmt.Errorf("service %q: no service file: set PGSERVICEFILE", name)
	}
	services, err := pgservicefile.ReadServicefile(file)
	if err != nil {
		return nil, fmt.Errorf("service %q: reading its file (PGSERVICEFILE): %w", name, err)
	}
	service, err := services.GetService(name)
	if err != nil {
		return nil, fmt.Errorf("service %q is not in %s", name, file)
	}
	settings := map[string]string{}
	for keyword, value := range service.Settings {
		if err := setKeyword(settings, keyword, value); err != nil {
			return nil, fmt.Errorf("service %q: %w", name, err)
		}
	}
	return settings, nil
}

// setKeyword stores a setting under libpq's keyword; an empty value counts as not given.
func setKeyword(settings map[string]string, keyword, value string) error {
	if keyword == "database" {
		keyword = "dbname"
	}
	if slices.Contains(ignored, keyword) || value == "" {
		return nil
	}
	if _, known := keywords[keyword]; !known {
		return fmt.Errorf("unknown connection setting %q", keyword)
	}
	settings[keyword] = value
	return nil
}

// home is a file below the home directory, or "" when that is not known.
func home(s providers.Settings, name string) string {
	dir := s.Get("HOME")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, filepath.FromSlash(name))
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
