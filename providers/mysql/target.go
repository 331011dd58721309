package mysql

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/with-creds/with-creds/providers"
)

// urlVariable names the administrator's connection string; it outranks the MYSQL_* variables:
//
//	mysql://USER:PASSWORD@HOST:PORT/DATABASE?ssl-mode=VERIFY_IDENTITY&ssl-ca=FILE&ssl-cert=FILE&ssl-key=FILE
//
// A Unix socket is ?socket=PATH. The parameters are MySQL's own
// (https://dev.mysql.com/doc/refman/8.0/en/connecting-using-uri-or-key-value-pairs.html).
const urlVariable = "WITH_CREDS_MYSQL_URL"

// The modes of TLS, as the mysql client has them (--ssl-mode). PREFERRED, the default, and REQUIRED protect from listeners alone.
const (
	tlsDisabled       = "DISABLED"
	tlsPreferred      = "PREFERRED"
	tlsRequired       = "REQUIRED"
	tlsVerifyCA       = "VERIFY_CA"
	tlsVerifyIdentity = "VERIFY_IDENTITY"
)

var tlsModes = []string{tlsDisabled, tlsPreferred, tlsRequired, tlsVerifyCA, tlsVerifyIdentity}

// A target is how to reach the server as the administrator: all of it, files included, so that another process, in another
// directory and environment, can. It holds secrets.
type target struct {
	Host     string `json:"host"`
	Port     string `json:"port"`
	Socket   string `json:"socket,omitempty"` // path; used instead of host and port
	User     string `json:"user"`
	Password string `json:"password,omitempty"`
	Database string `json:"database,omitempty"`
	TLS      string `json:"tls"`
	CA       string `json:"ca,omitempty"`   // PEM
	Cert     string `json:"cert,omitempty"` // PEM
	Key      string `json:"key,omitempty"`  // PEM
	CAPath   string `json:"ca_path,omitempty"`
}

// String keeps the secrets out of logs.
func (t target) String() string { return "target(" + t.server() + ")" }

// GoString is String, so that %#v prints no secret either.
func (t target) GoString() string { return t.String() }

// server names the server for people, and in a lease, so that a user is not looked for, and found missing, on another one.
func (t target) server() string {
	if t.Socket != "" {
		return t.Socket
	}
	return net.JoinHostPort(t.Host, t.Port)
}

// local reports whether nobody can listen on the way.
func (t target) local() bool {
	ip := net.ParseIP(t.Host)
	return t.Socket != "" || t.Host == "localhost" || ip != nil && ip.IsLoopback()
}

// resolve finds the administrator's connection: the URL, the MYSQL_* variables, the defaults. It reads the files they name and makes no
// network call.
func resolve(s providers.Settings) (target, error) {
	t := target{
		Host: s.Get("MYSQL_HOST"), Port: s.Get("MYSQL_TCP_PORT"), Socket: s.Get("MYSQL_UNIX_PORT"),
		User: s.Get("MYSQL_USER"), Password: s.Get("MYSQL_PWD"), Database: s.Get("MYSQL_DATABASE"),
	}
	if text := strings.TrimSpace(s.Get(urlVariable)); text != "" { // secrets of a CI's often end in a line end
		if err := t.readURL(text); err != nil {
			return target{}, fmt.Errorf("%s: %w", urlVariable, err)
		}
	}
	if t.User == "" {
		return target{}, fmt.Errorf("no administrator's name: set %s, or MYSQL_USER and MYSQL_PWD", urlVariable)
	}
	if t.Host == "" {
		t.Host = "127.0.0.1"
	}
	if t.Port == "" {
		t.Port = "3306"
	}
	if n, err := strconv.ParseUint(t.Port, 10, 16); err != nil || n == 0 {
		// Not printed: in a URL whose password holds an unescaped colon, part of the password lands here.
		return target{}, errors.New("the port is not a number from 1 to 65535 (in a URL, is the password percent-encoded?)")
	}
	if t.Socket != "" && !filepath.IsAbs(t.Socket) {
		return target{}, errors.New("the socket is not an absolute path")
	}
	if err := t.setTLSMode(); err != nil {
		return target{}, err
	}
	// Whatever is wrong with certificates is found here, before anything is sent.
	_, err := t.config()
	return t, err
}

// readURL takes what the URL says over what the variables said. No part of its text is in an error, because in a malformed one the
// password can be anywhere.
func (t *target) readURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "mysql" && u.Scheme != "mariadb" || u.Opaque != "" {
		return errors.New("not a connection URI: write mysql://USER:PASSWORD@HOST:PORT/DATABASE, with what is special percent-encoded")
	}
	if u.Fragment != "" {
		return errors.New("an unescaped # in it: write %23")
	}
	override := func(into *string, value string) {
		if value != "" {
			*into = value
		}
	}
	if u.Host != "" {
		t.Socket = ""
	}
	override(&t.Host, u.Hostname())
	override(&t.Port, u.Port())
	override(&t.User, u.User.Username())
	password, _ := u.User.Password()
	override(&t.Password, password)
	override(&t.Database, strings.TrimPrefix(u.Path, "/"))
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("a % in the parameters that begins no escape: write %25")
	}
	for key, values := range query {
		value := values[len(values)-1]
		switch key {
		case "socket":
			t.Socket = value
		case "ssl-mode":
			t.TLS = strings.ToUpper(value)
		case "ssl-ca":
			t.CAPath = value
			err = readFile(&t.CA, key, value)
		case "ssl-cert":
			err = readFile(&t.Cert, key, value)
		case "ssl-key":
			err = readFile(&t.Key, key, value)
		default:
			return fmt.Errorf("unknown parameter %q: there are socket, ssl-mode, ssl-ca, ssl-cert and ssl-key", key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readFile(into *string, parameter, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the file of %s: %w", parameter, err)
	}
	*into = string(content)
	return nil
}

// setTLSMode judges the mode, or chooses it: with an authority's certificate at hand the server's is verified (as the mysql client does
// from VERIFY_CA on).
func (t *target) setTLSMode() error {
	switch {
	case t.Socket != "":
		t.TLS = tlsDisabled
	case t.TLS == "" && t.CA != "":
		t.TLS = tlsVerifyCA
	case t.TLS == "":
		t.TLS = tlsPreferred
	case !slices.Contains(tlsModes, t.TLS):
		return fmt.Errorf("ssl-mode=%s: there are %s", t.TLS, strings.Join(tlsModes, ", "))
	case t.TLS == tlsVerifyCA && t.CA == "":
		return errors.New("ssl-mode=VERIFY_CA needs the authority's certificate: add ssl-ca=FILE")
	}
	return nil
}
