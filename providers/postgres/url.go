package postgres

import (
	"errors"
	"net/url"
	"strings"
)

// parseURL reads a connection URI as libpq does: postgres://user:password@host:port,host:port/database?keyword=value
// (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING). net/url refuses a list of hosts; and no part of
// the text is in an error, because in a malformed URI the password can be anywhere.
func parseURL(text string) (map[string]string, error) {
	rest, ok := strings.CutPrefix(text, "postgres://")
	if !ok {
		rest, ok = strings.CutPrefix(text, "postgresql://")
	}
	if !ok {
		return nil, errors.New("not a connection URI: write postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	}
	if strings.ContainsRune(rest, '#') {
		return nil, errors.New("an unescaped # in it: write %23")
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, database, _ := strings.Cut(rest, "/")
	userinfo, hosts := "", authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		userinfo, hosts = authority[:at], authority[at+1:]
	}
	if strings.ContainsRune(userinfo, '@') {
		return nil, errors.New("an unescaped @ in the user name or password: write %40")
	}
	user, password, _ := strings.Cut(userinfo, ":")
	host, port := splitHosts(hosts)

	settings := map[string]string{}
	for _, part := range []struct{ keyword, escaped string }{
		{"user", user}, {"password", password}, {"host", host}, {"port", port}, {"dbname", database},
	} {
		value, err := url.PathUnescape(part.escaped)
		if err != nil {
			return nil, errors.New("a % in the " + part.keyword + " that begins no escape: write %25")
		}
		if err := setKeyword(settings, part.keyword, value); err != nil {
			return nil, err
		}
	}
	for pair := range strings.SplitSeq(query, "&") {
		keyword, escaped, _ := strings.Cut(pair, "=")
		if keyword == "" {
			continue
		}
		// libpq decodes only %XX here: a plus stays a plus.
		value, err := url.PathUnescape(escaped)
		if err != nil {
			return nil, errors.New("a % in the parameters that begins no escape: write %25")
		}
		if keyword == "ssl" && value == "true" { // JDBC's spelling, which libpq takes too
			keyword, value = "sslmode", "require"
		}
		if err := setKeyword(settings, keyword, value); err != nil {
			return nil, err
		}
	}
	return settings, nil
}

// splitHosts makes libpq's two lists of "host:port,host:port", without ports when there are none.
func splitHosts(list string) (hosts, ports string) {
	var h, p []string
	for item := range strings.SplitSeq(list, ",") {
		host, port := item, ""
		if end := strings.IndexByte(item, ']'); strings.HasPrefix(item, "[") && end > 0 { // an IPv6 address
			host, port = item[1:end], strings.TrimPrefix(item[end+1:], ":")
		} else if colon := strings.IndexByte(item, ':'); colon >= 0 {
			host, port = item[:colon], item[colon+1:]
		}
		h, p = append(h, host), append(p, port)
	}
	hosts, ports = strings.Join(h, ","), strings.Join(p, ",")
	if strings.Trim(ports, ",") == "" {
		ports = ""
	}
	return hosts, ports
}
