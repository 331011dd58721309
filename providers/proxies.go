package providers

import (
	"cmp"
	"net/http"
	"net/url"

	"golang.org/x/net/http/httpproxy"
)

// Proxies are HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either case, as a run's settings have them: a dotenv file may set them, and another process
// has other variables.
type Proxies struct {
	HTTP  string `json:"http,omitempty"`
	HTTPS string `json:"https,omitempty"`
	No    string `json:"no,omitempty"`
}

// Proxies reads them.
func (s Settings) Proxies() Proxies {
	of := func(upper, lower string) string { return cmp.Or(s.Get(upper), s.Get(lower)) }
	return Proxies{of("HTTP_PROXY", "http_proxy"), of("HTTPS_PROXY", "https_proxy"), of("NO_PROXY", "no_proxy")}
}

// Choose is for the Proxy of an http.Transport.
func (p Proxies) Choose() func(*http.Request) (*url.URL, error) {
	choose := (&httpproxy.Config{HTTPProxy: p.HTTP, HTTPSProxy: p.HTTPS, NoProxy: p.No}).ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return choose(r.URL) }
}
