package mysql

import (
	"net"
	"net/url"

	"github.com/with-creds/with-creds/providers"
)

var _ providers.Foreseer = Provider{}

// Fields are those that Session.fields makes.
func (Provider) Fields(providers.Request) (always, sometimes []string) {
	return []string{"username", "password", "host", "url"}, []string{"port", "socket", "database", "ssl_ca"}
}

// fields are a credential's: those that every client needs, then what the administrator's connection was given and the command's needs
// too. By localhost clients mean a socket: so that is host over one, and never otherwise. The administrator's client certificate is not among them.
func (s *Session) fields(user, password, database string) []providers.Field {
	t := s.target
	host, port := t.Host, t.Port
	if host == "localhost" {
		host = "127.0.0.1"
	}
	u := url.URL{Scheme: "mysql", User: url.UserPassword(user, password), Host: net.JoinHostPort(host, port), Path: "/" + database}
	if t.Socket != "" {
		host, port = "localhost", ""
		u.Host, u.RawQuery = host, url.Values{"socket": {t.Socket}}.Encode()
	}
	list := []providers.Field{
		{Name: "username", Value: user},
		{Name: "password", Value: password, Secret: true},
	}
	for _, f := range []providers.Field{
		{Name: "host", Value: host}, {Name: "port", Value: port}, {Name: "socket", Value: t.Socket},
		{Name: "database", Value: database}, {Name: "ssl_ca", Value: t.CAPath},
	} {
		if f.Value != "" {
			list = append(list, f)
		}
	}
	return append(list, providers.Field{Name: "url", Value: u.String(), Secret: true})
}
