package postgres

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/with-creds/with-creds/providers/sqluser"
)

// setTLS gives each host of the config the ways to connect that sslmode allows, in libpq's order
// (https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION).
func (t target) setTLS(c *pgconn.Config) error {
	mode, err := t.sslmode()
	if err != nil {
		return err
	}
	hosts := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port}}, c.Fallbacks...)
	var ways []*pgconn.FallbackConfig
	for _, h := range hosts {
		tlsConfigs := []*tls.Config{nil}
		if !filepath.IsAbs(h.Host) && mode != "disable" {
			encrypted, err := t.tlsConfig(mode, h.Host)
			if err != nil {
				return err
			}
			switch mode {
			case "allow":
				tlsConfigs = []*tls.Config{nil, encrypted}
			case "prefer":
				tlsConfigs = []*tls.Config{encrypted, nil}
			default:
				tlsConfigs = []*tls.Config{encrypted}
			}
		}
		for _, tc := range tlsConfigs {
			ways = append(ways, &pgconn.FallbackConfig{Host: h.Host, Port: h.Port, TLSConfig: tc})
		}
	}
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = ways[0].Host, ways[0].Port, ways[0].TLSConfig, ways[1:]
	return nil
}

// sslmode is the mode in force: as set, or libpq's default.
func (t target) sslmode() (string, error) {
	mode := t.Settings["sslmode"]
	if t.RootCert == "system" {
		// libpq: a certificate that anybody can get from a public authority proves nothing but a name.
		if mode != "" && mode != "verify-full" {
			return "", fmt.Errorf("sslmode=%s is too weak for sslrootcert=system: set PGSSLMODE=verify-full", mode)
		}
		return "verify-full", nil
	}
	switch mode {
	case "":
		mode = "prefer"
	case "disable", "allow", "prefer", "require", "verify-ca", "verify-full":
	default:
		return "", fmt.Errorf("sslmode=%s: there are disable, allow, prefer, require, verify-ca and verify-full", mode)
	}
	if t.Settings["sslnegotiation"] == "direct" && (mode == "allow" || mode == "prefer" || mode == "disable") {
		return "", fmt.Errorf("sslmode=%s is too weak for sslnegotiation=direct: set PGSSLMODE=require or stronger", mode)
	}
	// libpq: with an authority's certificate at hand, require means verify-ca.
	if mode == "require" && t.RootCert != "" {
		mode = "verify-ca"
	}
	return mode, nil
}

func (t target) tlsConfig(mode, host string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.Settings["sslnegotiation"] == "direct" {
		c.NextProtos = []string{"postgresql"}
	}
	var authorities *sqluser.Authorities
	if t.RootCert != "" && t.RootCert != "system" {
		var err error
		if authorities, err = sqluser.ReadAuthorities(t.RootCert); err != nil {
			return nil, fmt.Errorf("the file of sslrootcert (PGSSLROOTCERT) %w", err)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, errors.New("a client certificate needs both sslcert (PGSSLCERT) and sslkey (PGSSLKEY)")
	}
	if t.Cert != "" {
		cert, err := keyPair(t.Cert, t.Key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{cert}
	}
	// A server name is sent as libpq does: unless turned off, and never an address (RFC 6066 §3).
	if mode == "verify-full" || (t.Settings["sslsni"] != "0" && net.ParseIP(host) == nil) {
		c.ServerName = host
	}
	switch {
	case mode != "verify-ca" && mode != "verify-full": // allow, prefer, require: encryption against listeners, no proof of the server
		c.InsecureSkipVerify = true
		return c, nil
	case t.RootCert == "system": // what crypto/tls does by itself
		return c, nil
	case authorities == nil:
		return nil, fmt.Errorf("sslmode=%s needs the authority's certificate: set PGSSLROOTCERT to its file, or to system for those of public authorities", mode)
	}
	name := ""
	if mode == "verify-full" {
		name = host
	}
	authorities.VerifyBy(c, name)
	return c, nil
}

// keyPair says nothing of the key in its errors.
func keyPair(cert, key string) (tls.Certificate, error) {
	if block, _ := pem.Decode([]byte(key)); block != nil && (block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "") {
		return tls.Certificate{}, errors.New("the key of sslkey (PGSSLKEY) is encrypted: give it decrypted, in a file only its owner can read")
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("the client certificate (PGSSLCERT) and key (PGSSLKEY): %w", err)
	}
	return pair, nil
}
