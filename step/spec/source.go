package spec

import (
	"strings"

	"github.com/with-creds/with-creds/providers"
)

// parseSource reads PROVIDER:PATH[?k=v&k=v].
func parseSource(text string, w word) (providers.Request, error) {
	bad := func(i int, format string, args ...any) (providers.Request, error) {
		return providers.Request{}, newError(text, w.offset(i), format, args...)
	}
	provider, rest, found := strings.Cut(w.text, ":")
	if !found {
		return bad(0, "a spec begins with PROVIDER:PATH, for example vault:database/creds/readonly")
	}
	if !isProviderName(provider) {
		return bad(0, "a provider's name, before the colon, is lower-case letters, digits and -")
	}
	path, query, hasQuery := strings.Cut(rest, "?")
	at := len(provider) + 1
	if path == "" {
		return bad(at, "nothing follows the colon: write %s:PATH", provider)
	}
	if i := strings.IndexAny(path, "\n\r\t"); i >= 0 {
		return bad(at+i, "a line end or a tab in the path")
	}
	request := providers.Request{Provider: provider, Path: path}
	if !hasQuery {
		return request, nil
	}
	at += len(path) + 1
	for _, pair := range strings.Split(query, "&") {
		key, value, found := strings.Cut(pair, "=")
		switch {
		case pair == "":
			return bad(at, "a parameter is missing here: write name=value")
		case key == "":
			return bad(at, "a parameter without a name: write name=value")
		case !found:
			// The pair may be the second half of a value with a bare & in it, so it is not named.
			return bad(at, "a parameter without a value: write name=value, and %%26 for an & in a value")
		}
		k, i := percentDecode(key)
		if i >= 0 {
			return bad(at+i, badPercent)
		}
		v, i := percentDecode(value)
		if i >= 0 {
			return bad(at+len(key)+1+i, badPercent)
		}
		request.Params = append(request.Params, providers.Param{Key: k, Value: v})
		at += len(pair) + 1
	}
	return request, nil
}

const badPercent = "%% must be followed by two hexadecimal digits other than 00: write %%25 for a percent sign"

// formatSource is parseSource's inverse.
func formatSource(r providers.Request) string {
	var b strings.Builder
	b.WriteString(r.Source())
	for i, p := range r.Params {
		if i == 0 {
			b.WriteByte('?')
		} else {
			b.WriteByte('&')
		}
		b.WriteString(percentEncode(p.Key, queryKeeps))
		b.WriteByte('=')
		b.WriteString(percentEncode(p.Value, queryKeeps))
	}
	return b.String()
}

// queryKeeps are the characters, beside the unreserved ones, that are printed as they are in a query: those that RFC 3986
// allows there and that neither this grammar nor a shell reads as anything else.
const queryKeeps = ":/@,+"

func isProviderName(name string) bool {
	for i, c := range []byte(name) {
		if !isLower(c) && (i == 0 || !isDigit(c) && c != '-') {
			return false
		}
	}
	return name != ""
}

// percentDecode decodes %XX and nothing else. bad is the index of a percent sign that no two digits follow, or that would
// make a NUL, which neither an environment nor a request's parameter can carry; otherwise -1.
func percentDecode(s string) (decoded string, bad int) {
	if strings.IndexByte(s, '%') < 0 {
		return s, -1
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", i
		}
		high, low := strings.IndexByte(hexDigits, upper(s[i+1])), strings.IndexByte(hexDigits, upper(s[i+2]))
		if high < 0 || low < 0 || high+low == 0 {
			return "", i
		}
		b.WriteByte(byte(high<<4 | low))
		i += 2
	}
	return b.String(), -1
}

// percentEncode writes every byte that is neither unreserved (RFC 3986, section 2.3) nor in keep as %XX.
func percentEncode(s, keep string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if isLower(c) || isUpper(c) || isDigit(c) || strings.IndexByte("-._~"+keep, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	return b.String()
}

const hexDigits = "0123456789ABCDEF"

func upper(c byte) byte {
	if isLower(c) {
		return c - 'a' + 'A'
	}
	return c
}
