package serve

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// tnsField is a directory for TNS_ADMIN, and tnsAlias the one name that its tnsnames.ora has.
const (
	tnsField = "served:tns-admin"
	tnsAlias = "with_creds"
)

// openTNS makes a directory with a tnsnames.ora for what the fields host, port and database (the service) say. It is a directory, and not a file, that
// Oracle's clients are told of (Net Services Reference, "Local Naming Parameters in the tnsnames.ora File"). There is no secret in it, and nothing that a
// rotation changes.
func openTNS(_ []string, e *Endpoints) error {
	values, err := e.need("host", "database")
	if err != nil {
		return err
	}
	c := Located(e.source.Current())
	host, _ := c.Field("host")
	port, _ := c.Field("port")
	entry, err := tnsEntry(host.Value, cmp.Or(port.Value, "1521"), values[1])
	if err != nil {
		return err
	}
	dir, err := e.source.Dir()
	if err != nil {
		return err
	}
	dir = filepath.Join(dir, "tns")
	if err := privateFile(dir, "tnsnames.ora", entry); err != nil {
		return fmt.Errorf("making tnsnames.ora: %w", err)
	}
	e.add(tnsField, dir, false)
	return nil
}

// tnsEntry is the file's one entry. A value that has a character of the file's syntax is refused.
func tnsEntry(host, port, service string) (string, error) {
	for _, v := range []string{host, port, service} {
		if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`()=\"'#,`, r) }) {
			return "", errors.New("host must be HOST or HOST:PORT, and database the name of a service, without ( ) = \\ ' \" # or a comma")
		}
	}
	return fmt.Sprintf("%s = (DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=%s)(PORT=%s))(CONNECT_DATA=(SERVICE_NAME=%s)))\n", tnsAlias, host, port, service), nil
}

// privateFile makes a directory and a file in it, for this user alone, whatever the umask.
func privateFile(dir, name, content string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = f.Chmod(0o600)
	if err == nil {
		_, err = f.WriteString(content)
	}
	return errors.Join(err, f.Close())
}
