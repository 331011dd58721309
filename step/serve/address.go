package serve

import (
	"net"
	"path/filepath"
	"strings"

	"github.com/with-creds/with-creds/providers"
)

// Located is a credential whose fields say where its service is in every way in which a client asks for it, however a person or a provider said it ("db:5433", or "db" and
// 5433): host without a port, port where there is one, and address, which is both in one, for a URL. Each may be a list with commas, as PostgreSQL's and MongoDB's
// clients take them; a port that is in host goes before one beside it. A host that is a socket's directory is its own address.
func Located(c providers.Credential) providers.Credential {
	host, ok := c.Field("host")
	if !ok || host.Value == "" {
		return c
	}
	port, _ := c.Field("port")
	hosts, given := strings.Split(host.Value, ","), strings.Split(port.Value, ",")
	ports, addresses := make([]string, len(hosts)), make([]string, len(hosts))
	inHost := false
	for i, h := range hosts {
		var p string
		hosts[i], p = splitAddress(h)
		inHost = inHost || p != ""
		if p == "" {
			p = given[min(i, len(given)-1)]
		}
		ports[i], addresses[i] = p, joinAddress(hosts[i], p)
	}
	fields := []providers.Field{
		{Name: "host", Value: strings.Join(hosts, ","), Secret: host.Secret},
		{Name: "address", Value: strings.Join(addresses, ","), Secret: host.Secret || port.Secret},
	}
	if inHost {
		fields = append(fields, providers.Field{Name: "port", Value: strings.Join(ports, ","), Secret: host.Secret || port.Secret})
	}
	c.Fields = append(fields, c.Fields...) // the first of a name counts
	return c
}

// splitAddress takes a port off a host, where there is one.
func splitAddress(text string) (host, port string) {
	if h, p, err := net.SplitHostPort(text); err == nil && strings.Trim(p, "0123456789") == "" {
		return h, p
	}
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") { // an IPv6 address, as it stands in a URL
		return strings.TrimSuffix(inner, "]"), ""
	}
	return text, ""
}

func joinAddress(host, port string) string {
	switch {
	case filepath.IsAbs(host):
		return host
	case port != "":
		return net.JoinHostPort(host, port)
	case strings.Contains(host, ":") && net.ParseIP(host) != nil:
		return "[" + host + "]"
	}
	return host
}
