package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/with-creds/with-creds/providers"
)

var _ providers.Examiner = (*Session)(nil)

// Examine asks for the server's health, for the token, and for what it may do: three round trips, and one more for each database role whose definition
// may be read.
func (s *Session) Examine(ctx context.Context, requests []providers.Request) []providers.Finding {
	e := &examination{session: s, ctx: ctx}
	e.transport()
	if !e.health() {
		return e.found
	}
	if e.token() {
		e.rights(requests)
	}
	return e.found
}

// An examination collects what is found.
type examination struct {
	session *Session
	ctx     context.Context
	found   []providers.Finding
	may     map[string][]string // what the token may do, by path
}

func (e *examination) add(level providers.Level, promise, fix, format string, args ...any) {
	e.found = append(e.found, providers.Finding{Level: level, Promise: promise, Says: fmt.Sprintf(format, args...), Fix: fix})
}

// transport is who can listen on the way.
func (e *examination) transport() {
	conn := e.session.client.conn
	u, err := url.Parse(conn.Address)
	if err != nil {
		return
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Scheme == "unix" || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	switch {
	case u.Scheme == "http" && !local:
		e.add(providers.Warn, "P3", "give Vault's listener a certificate, and write https:// into VAULT_ADDR", "tokens and credentials cross the network in clear")
	case conn.SkipVerify:
		e.add(providers.Warn, "P3", "unset VAULT_SKIP_VERIFY, and name the authority in VAULT_CACERT", "whoever is between here and Vault can pass for it")
	}
}

// A healthAnswer is https://developer.hashicorp.com/vault/api-docs/system/health.
type healthAnswer struct {
	Initialized bool   `json:"initialized"`
	Sealed      bool   `json:"sealed"`
	Standby     bool   `json:"standby"`
	ServerTime  int64  `json:"server_time_utc"`
	Version     string `json:"version"`
}

// health reports whether there is a point in going on.
func (e *examination) health() bool {
	// The parameters make every state answer 200, so that the body is read.
	query := url.Values{"standbycode": {"200"}, "sealedcode": {"200"}, "uninitcode": {"200"}, "performancestandbycode": {"200"}, "drsecondarycode": {"200"}}
	began := time.Now()
	answer, err := e.session.client.call(e.ctx, careful, get, "sys/health", query, nil)
	took := time.Since(began)
	switch meansOf(err) {
	case "":
	case forbidden, missing, unsupported, invalid: // a proxy that lets only some paths through; a namespace, which has no health of its own
		e.add(providers.OK, "", "", "Vault answers in %v, and does not tell of its health here", took.Round(100*time.Microsecond))
		return true
	default:
		says, fix := providers.Advice(e.session.explain(err, "asking for the health of", e.session.client.shownAddress(), ""))
		e.add(providers.Fail, "", fix, "%s", says)
		return false
	}
	var h healthAnswer
	if raw, err := json.Marshal(dataOrNil(answer)); err != nil || json.Unmarshal(raw, &h) != nil || h.Version == "" {
		e.add(providers.Warn, "", "check that VAULT_ADDR is Vault's, and what is between here and there", "the server does not tell of its health")
		return true
	}
	switch {
	case !h.Initialized:
		e.add(providers.Fail, "", "run `vault operator init` there", "Vault is not initialised")
		return false
	case h.Sealed:
		e.add(providers.Fail, "", "run `vault operator unseal` there", "Vault is sealed")
		return false
	}
	e.add(providers.OK, "", "", "Vault %s answers in %v", h.Version, took.Round(100*time.Microsecond))
	if skew := time.Until(time.Unix(h.ServerTime, 0)); skew.Abs() > 30*time.Second+took {
		e.add(providers.Warn, "", "set the clocks (NTP)", "the clock here and Vault's are %v apart: times in receipts are this machine's", skew.Abs().Round(time.Second))
	}
	return true
}

func dataOrNil(answer result) map[string]any {
	if answer.secret == nil {
		return nil
	}
	return answer.secret.Data
}

// token is about the login, and reports whether it is any good.
func (e *examination) token() bool {
	answer, err := e.session.client.call(e.ctx, careful, get, "auth/token/lookup-self", nil, nil)
	switch meansOf(err) {
	case "":
	case dead:
		e.add(providers.Fail, "", "log in again, or set VAULT_TOKEN", "the token is not valid: it has expired or was revoked")
		return false
	case forbidden:
		e.add(providers.Warn, "P1", "give it the policy default", "the token may not look itself up")
		return true
	default:
		says, fix := providers.Advice(e.session.explain(err, "looking up", "the token", ""))
		e.add(providers.Warn, "", fix, "%s", says)
		return true
	}
	data := dataOrNil(answer)
	kind, _ := data["type"].(string)
	ttl := time.Duration(whole(data["ttl"])) * time.Second
	renewable, _ := data["renewable"].(bool)
	e.own(data, ttl)
	switch {
	case kind == "batch":
		e.add(providers.Warn, "P2", "log in for a service token (token_type=service of the auth role)",
			"a batch token can be neither renewed nor revoked: leases end with it, in %v at the latest", ttl)
	case !renewable && ttl > 0:
		e.add(providers.Warn, "", "log in for a renewable token", "the token ends in %v and cannot be renewed; what it issued ends with it", ttl)
	case whole(data["explicit_max_ttl"]) > 0:
		e.add(providers.OK, "", "", "the token ends for good %v after it was made: longer runs log in again",
			time.Duration(whole(data["explicit_max_ttl"]))*time.Second)
	}
	if whole(data["period"]) > 0 && e.session.Own() != nil {
		e.add(providers.Warn, "P2", "use a role without token_period", "a periodic token takes no shorter leash than its period, %v", time.Duration(whole(data["period"]))*time.Second)
	}
	if uses := whole(data["num_uses"]); uses > 0 {
		e.add(providers.Warn, "P1", "use a role without token_num_uses", "the token has %d uses left; each request spends one, and what it issued ends with the last", uses)
	}
	if policies, _ := data["policies"].([]any); slices.Contains(policies, any("root")) {
		e.add(providers.Warn, "P3", "log in with a policy of the paths below alone", "this is a root token: whoever steals it has all of Vault")
	}
	return true
}

// own is about whose the token is.
func (e *examination) own(data map[string]any, ttl time.Duration) {
	name, _ := data["display_name"].(string)
	left := "has no end"
	if ttl > 0 {
		left = "has " + ttl.String()
	}
	if e.session.Own() != nil {
		e.add(providers.OK, "P2", "", "the token (%s) is the run's own: put on the leash, and revoked last", name)
		return
	}
	e.add(providers.Warn, "P2", "log in for the run (--vault-auth=approle, jwt or kubernetes), or add --vault-child-token",
		"the token (%s) is borrowed and %s: leases are put on the leash one by one, and a request that is cut off may leave one for its whole TTL", name, left)
}

// whole is a whole number of an answer; 0 for anything else.
func whole(v any) int64 {
	n, _ := v.(json.Number)
	i, _ := n.Int64()
	return i
}

// The paths by which leases are kept and given back.
const (
	revokePath     = "sys/leases/revoke"
	renewPath      = "sys/leases/renew"
	lookupPath     = "sys/leases/lookup"
	revokeSelfPath = "auth/token/revoke-self"
	renewSelfPath  = "auth/token/renew-self"
)

// rights is about what the token may do, for the requests and for giving back.
func (e *examination) rights(requests []providers.Request) {
	paths := []string{revokePath, renewPath, lookupPath, revokeSelfPath, renewSelfPath}
	var routes []route
	for _, r := range requests {
		if to, err := routeOf(r); err == nil {
			routes = append(routes, to)
			paths = append(paths, to.path)
			if role := rolePath(to.path); role != "" {
				paths = append(paths, role)
			}
		}
	}
	answer, err := e.session.client.call(e.ctx, careful, put, "sys/capabilities-self", nil, map[string]any{"paths": paths})
	if err != nil {
		e.add(providers.Warn, "", "give it the policy default", "what the token may do cannot be told: %v", err)
		return
	}
	e.may = map[string][]string{}
	for name, list := range dataOrNil(answer) {
		some, _ := list.([]any)
		for _, one := range some {
			if word, ok := one.(string); ok {
				e.may[name] = append(e.may[name], word)
			}
		}
	}
	for _, to := range routes {
		e.request(to)
	}
	e.givingBack(routes)
}

func (e *examination) allowed(path, right string) bool {
	return slices.Contains(e.may[path], right) || slices.Contains(e.may[path], "root")
}

func (e *examination) request(to route) {
	right := "read"
	if to.verb == put {
		right = "update"
	}
	if !e.allowed(to.path, right) {
		e.add(providers.Fail, "", fmt.Sprintf("add to its policy: path %q { capabilities = [%q] }", to.path, right), "the token has no %q on %s", right, to.path)
		return
	}
	says := fmt.Sprintf("the token has %q on %s", right, to.path)
	if role := rolePath(to.path); role != "" && e.allowed(role, "read") {
		says += e.lives(role)
	}
	e.add(providers.OK, "", "", "%s", says)
}

// rolePath is where a database engine has the definition behind MOUNT/creds/NAME; "" for other paths.
func rolePath(p string) string {
	mount, name, found := strings.Cut(p, "/creds/")
	if !found || strings.Contains(name, "/") {
		return ""
	}
	return mount + "/roles/" + name
}

// lives are the TTLs of a role, where it tells them.
func (e *examination) lives(role string) string {
	answer, err := e.session.client.call(e.ctx, careful, get, role, nil, nil)
	if err != nil {
		return ""
	}
	data := dataOrNil(answer)
	ttl, most := whole(data["default_ttl"]), whole(data["max_ttl"])
	if ttl == 0 || most == 0 {
		return ""
	}
	return fmt.Sprintf(": TTL %v, at most %v", time.Duration(ttl)*time.Second, time.Duration(most)*time.Second)
}

// givingBack is what the proof of revocation rests on.
func (e *examination) givingBack(routes []route) {
	shorten, look := e.allowed(renewPath, "update"), e.allowed(lookupPath, "update")
	switch {
	case e.allowed(revokePath, "update"):
		e.add(providers.OK, "P1", "", "leases are revoked synchronously, which is the proof (if the policy covers the kind: a run tells)")
	case shorten && look:
		e.add(providers.OK, "P1", revokingPolicy(routes), "leases are made to end in a second and looked up until they are gone, which takes each run a second more than it could")
	case shorten:
		e.add(providers.Fail, "P1", "give it the policy default", "leases can be ended and not looked up: that they are gone is not proven, and a run that succeeded exits 125")
	default:
		e.add(providers.Fail, "P1", revokingPolicy(routes), "leases can be neither revoked nor shortened: they live for their whole TTL, and a run that succeeded exits 125")
	}
	if !shorten {
		e.add(providers.Warn, "P2", `add to its policy: path "sys/leases/renew" { capabilities = ["update"] }`, "leases cannot be renewed: they end while a long command runs")
	}
	if own := e.session.Own(); own != nil && own.Scope["kind"] == tokenKind && !e.allowed(revokeSelfPath, "update") {
		e.add(providers.Warn, "P2", `add to its policy: path "auth/token/revoke-self" { capabilities = ["update"] }`, "the run's token may not revoke itself: it ends with its leash")
	}
}

// revokingPolicy is the least that lets leases of these kinds be revoked synchronously.
func revokingPolicy(routes []route) string {
	var kinds []string
	for _, to := range routes {
		if kind := fmt.Sprintf("%q", path.Clean(to.path)+"/*"); !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) == 0 {
		kinds = []string{`"database/creds/ROLE/*"`}
	}
	return `add to its policy: path "sys/leases/revoke" { capabilities = ["update"] allowed_parameters = { "lease_id" = [` + strings.Join(kinds, ", ") + `], "sync" = [] } }`
}
