package vault

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// maxAnswer bounds an answer: a KV secret may be a megabyte, a keystore more; nothing that is handed over in an environment is larger.
const maxAnswer = 32 << 20

// silence is how long nothing may come over a connection of HTTP/2 before the other end is asked for a sign of life, and how long that may take. A request that
// runs out of time ends its stream alone: a connection whose other end is lost, as of a load balancer's node, would be used again for as long as it is tried, and all
// attempts would fail that a new connection would carry. Twice this is less than one attempt at a renewal or a revocation is given.
const silence = 2 * time.Second

// A client sends requests to one server with one token.
type client struct {
	api       *api.Client
	conn      connection
	transport *http.Transport
	dialled   *dialled
}

// newClient builds the client of the api package and undoes what that reads from the environment of the process by itself: the address,
// the token, the namespace, the headers, the TLS files and the wrapping.
func newClient(conn connection, count func()) (*client, error) {
	c := &client{conn: conn, dialled: &dialled{}}
	if err := c.makeTransport(); err != nil {
		return nil, err
	}
	address := conn.Address
	if strings.HasPrefix(address, "unix:") {
		address = "http://localhost"
	}
	var err error
	c.api, err = api.NewClient(&api.Config{
		Address: address,
		HttpClient: &http.Client{
			Transport:     roundTripper{c.transport, count},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Timeout:          conn.Timeout,
		MinRetryWait:     firstWait,
		MaxRetryWait:     lastWait,
		MaxRetries:       conn.MaxRetries,
		CheckRetry:       checkRetry,
		Backoff:          backoff,
		SRVLookup:        conn.SRVLookup,
		DisableRedirects: true, // the token would go along
	})
	if err != nil {
		// The only errors left are those of VAULT_* in the process's own environment, which it parses before it is told not to use them.
		return nil, errors.New("vault: the process's own VAULT_* variables cannot be read by Vault's library: " + firstLine(err.Error()))
	}
	headers := http.Header{"X-Vault-Request": {"true"}}
	if conn.Agent != "" {
		headers.Set("User-Agent", conn.Agent)
	}
	if conn.Run != "" {
		headers.Set("X-Correlation-Id", conn.Run)
	}
	for name, value := range conn.Headers {
		headers.Set(name, value)
	}
	c.api.SetHeaders(headers)
	c.api.ClearNamespace()
	if conn.Namespace != "" {
		c.api.SetNamespace(conn.Namespace)
	}
	c.api.ClearToken()
	c.api.SetWrappingLookupFunc(func(string, string) string { return "" })
	return c, nil
}

func (c *client) makeTransport() error {
	secure := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.conn.ServerName, InsecureSkipVerify: c.conn.SkipVerify} //nolint:gosec // VAULT_SKIP_VERIFY asks for it
	if len(c.conn.CA) > 0 {
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(c.conn.CA) {
			return errors.New("vault: VAULT_CACERT (or VAULT_CACERT_BYTES, VAULT_CAPATH) holds no PEM certificate")
		}
	}
	if len(c.conn.Cert) > 0 {
		pair, err := tls.X509KeyPair(c.conn.Cert, c.conn.Key)
		if err != nil {
			return fmt.Errorf("vault: VAULT_CLIENT_CERT and VAULT_CLIENT_KEY: %w", err)
		}
		// Whatever authorities the server names: an auth method may know more than the listener does.
		secure.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	proxy, err := c.proxy()
	if err != nil {
		return err
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	c.transport = &http.Transport{
		Proxy:               proxy,
		TLSClientConfig:     secure,
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: silence},
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 16, // one for each credential of a large run: they are all revoked at once
		IdleConnTimeout:     90 * time.Second,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if socket, ok := strings.CutPrefix(c.conn.Address, "unix://"); ok {
				network, address = "unix", socket
			}
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return c.dialled.add(conn), nil
		},
	}
	return nil
}

func (c *client) proxy() (func(*http.Request) (*url.URL, error), error) {
	if c.conn.Proxy != "" {
		u, err := url.Parse(c.conn.Proxy)
		if err != nil {
			return nil, errors.New("vault: VAULT_PROXY_ADDR (or VAULT_HTTP_PROXY) is not an address")
		}
		return http.ProxyURL(u), nil
	}
	return c.conn.Proxies.Choose(), nil
}

func (c *client) token() string         { return c.api.Token() }
func (c *client) setToken(token string) { c.api.SetToken(token) }
func (c *client) close()                { c.transport.CloseIdleConnections() }

// roundTripper counts requests, and reads an answer to its end before it gives it back: the api package cancels a written request as soon
// as the answer's head is there, and an answer that breaks off is one that did not come.
type roundTripper struct {
	next  http.RoundTripper
	count func()
}

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) {
	r.count()
	issuer, issues := request.Context().Value(issuerKey{}).(*Session)
	if (issues || attemptsOf(request.Context()) != repeated) && (request.Body == nil || request.Body == http.NoBody) {
		// net/http itself repeats a GET whose connection was lost, when it had been used before. A body that cannot be
		// rewound, empty as it is, forbids that.
		request = request.Clone(request.Context())
		request.Body, request.GetBody = emptyBody{}, nil
	}
	answer, content, err := r.whole(request)
	if issues && unheard(answer, err) {
		issuer.lostOne()
	}
	if err != nil {
		return nil, err
	}
	if len(content) > maxAnswer {
		return nil, errTooLarge
	}
	answer.Body = io.NopCloser(bytes.NewReader(content))
	return answer, nil
}

// CloseIdleConnections is called when a request has failed: the connections that were opened with its own may be as dead.
func (r roundTripper) CloseIdleConnections() {
	if c, ok := r.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// whole makes the round trip and reads the answer.
func (r roundTripper) whole(request *http.Request) (*http.Response, []byte, error) {
	answer, err := r.next.RoundTrip(request)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	return answer, content, err
}

// unheard reports whether Vault may be at work on a request still, or have done it, without this process having heard what came of it.
func unheard(answer *http.Response, err error) bool {
	if err != nil {
		return judgeLoss(err).meaning == lost
	}
	return answer.StatusCode == http.StatusBadGateway || answer.StatusCode == http.StatusGatewayTimeout // a proxy's words
}

type emptyBody struct{}

func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }
func (emptyBody) Close() error             { return nil }

var errTooLarge = fmt.Errorf("the answer is larger than %d MB", maxAnswer>>20)

// A verb is how a path is asked.
type verb string

const (
	get verb = "GET"
	put verb = "PUT" // Vault takes PUT and POST for the same
)

// A result is a good answer.
type result struct {
	secret *api.Secret // nil when there is no body
	status int
	uses   int // of a login: how often its token may be used; 0: without limit. The api package leaves it out
}

// call makes a request and judges the answer. An error is a *failure. query is for get, body for put.
func (c *client) call(ctx context.Context, tries attempts, v verb, path string, query url.Values, body any) (result, error) {
	ctx = context.WithValue(ctx, attemptsKey{}, tries)
	var answer *api.Response
	var err error
	if v == get {
		answer, err = c.api.Logical().ReadRawWithDataWithContext(ctx, path, query)
	} else {
		var content []byte
		if content, err = json.Marshal(body); err != nil {
			return result{}, &failure{meaning: invalid, text: "the request cannot be written as JSON"}
		}
		answer, err = c.api.Logical().WriteRawWithContext(ctx, path, content)
	}
	if answer != nil && answer.Body != nil {
		defer answer.Body.Close()
	}
	if f := judge(answer, err, c.token()); f != nil {
		return result{}, f
	}
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return result{}, judgeLoss(err)
	}
	if len(content) == 0 {
		return result{status: answer.StatusCode}, nil
	}
	secret, err := api.ParseSecret(bytes.NewReader(content))
	if err != nil { // its text may quote the answer
		return result{}, &failure{meaning: unintelligible, status: answer.StatusCode, text: "an answer that is not Vault's: is VAULT_ADDR right?"}
	}
	return result{secret, answer.StatusCode, usesOf(secret, content)}, nil
}

func usesOf(secret *api.Secret, raw []byte) int {
	if secret == nil || secret.Auth == nil {
		return 0
	}
	var login struct {
		Auth struct {
			NumUses int `json:"num_uses"`
		} `json:"auth"`
	}
	if err := json.Unmarshal(raw, &login); err != nil {
		return 0
	}
	return login.Auth.NumUses
}

// shownAddress is the address as it may be printed.
func (c *client) shownAddress() string {
	u, err := url.Parse(c.conn.Address)
	if err != nil {
		return "no address"
	}
	return u.Redacted()
}
