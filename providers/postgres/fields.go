package postgres

import (
	"net/url"
	"path/filepath"
	"strings"

	"github.com/with-creds/with-creds/providers"
)

var _ providers.Foreseer = Provider{}

// Fields are those that Session.fields makes.
func (Provider) Fields(providers.Request) (always, sometimes []string) {
	return []string{"username", "password", "host", "port", "database", "url"},
		[]string{"sslmode", "sslrootcert", "sslnegotiation", "target_session_attrs"}
}

// fields are a credential's: those that every client needs, then the settings of libpq's that the administrator's connection was given
// and the command's needs too. The administrator's client certificate is not among them.
func (s *Session) fields(role, password, database string) []providers.Field {
	set := s.target.Settings
	list := []providers.Field{
		{Name: "username", Value: role},
		{Name: "password", Value: password, Secret: true},
		{Name: "host", Value: set["host"]},
		{Name: "port", Value: set["port"]},
		{Name: "database", Value: database},
	}
	passedOn := []providers.Field{
		{Name: "sslmode", Value: set["sslmode"]},
		{Name: "sslrootcert", Value: s.target.RootCertPath},
		{Name: "sslnegotiation", Value: set["sslnegotiation"]},
		{Name: "channel_binding", Value: set["channel_binding"]},
		{Name: "target_session_attrs", Value: set["target_session_attrs"]},
	}
	var params []string
	for _, f := range passedOn {
		if f.Value != "" {
			list = append(list, f)
			params = append(params, f.Name+"="+escape(f.Value))
		}
	}
	return append(list, providers.Field{Name: "url", Value: connectionURI(set["host"], set["port"], role, password, database, params), Secret: true})
}

// connectionURI is what libpq and the drivers take as one string. A socket's directory can only be a parameter of it.
func connectionURI(hosts, ports, user, password, database string, params []string) string {
	var authority []string
	hostList, portList := strings.Split(hosts, ","), strings.Split(ports, ",")
	for i, host := range hostList {
		if filepath.IsAbs(host) {
			authority = nil
			params = append([]string{"host=" + escape(hosts), "port=" + escape(ports)}, params...)
			break
		}
		if strings.ContainsRune(host, ':') { // an IPv6 address
			host = "[" + host + "]"
		}
		if port := portList[min(i, len(portList)-1)]; port != "" {
			host += ":" + port
		}
		authority = append(authority, host)
	}
	uri := "postgres://" + escape(user) + ":" + escape(password) + "@" + strings.Join(authority, ",") + "/" + escape(database)
	if len(params) > 0 {
		uri += "?" + strings.Join(params, "&")
	}
	return uri
}

// escape leaves nothing that has a meaning in a URI. A space becomes %20, for libpq takes a plus as it stands.
func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}
