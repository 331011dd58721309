package mysql

import (
	"fmt"
	"regexp"

	"github.com/with-creds/with-creds/providers"
)

// The keys of a lease's Scope.
const (
	scopeRole   = providers.ScopeGroup
	scopeHost   = "host"   // the second half of its name
	scopeServer = "server" // host and port, so that it is not looked for, and found missing, on another server
	scopeMaker  = "lock"   // the lock that the session which makes the user holds until it ends
	scopePID    = "connection"
)

var userName = regexp.MustCompile(`^wc_[a-z0-9_]{1,29}$`)

// newUserName names the role and the run for who reads the server's logs, and ends in 55 random bits. It has at most the 32
// characters that MySQL keeps, all of them a–z, 0–9 and _.
func newUserName(role, run string) string {
	return "wc_" + providers.LowerName(role, 8) + "_" + providers.LowerName(run, 8) + "_" + providers.LowerText(11)
}

// account is the user's full name, quoted.
func account(l providers.Lease) string { return literal(l.ID) + "@" + literal(l.Scope[scopeHost]) }

// event is the name of the event that ends the user, quoted. It is in the schema mysql, which nobody drops.
func event(l providers.Lease) string { return "mysql." + ident(l.ID) }

// checkLease refuses to touch a user that is not of this package's making, or that is another server's.
func (s *Session) checkLease(l providers.Lease) error {
	if l.Provider != Name || !userName.MatchString(l.ID) || l.Scope[scopeHost] == "" {
		return providers.Final(fmt.Errorf("%q is no user that with-creds made", l.ID))
	}
	if server, known := l.Scope[scopeServer]; known && server != s.target.server() {
		return providers.Final(fmt.Errorf("user %s is on %s, and this session is with %s: set %s to that server",
			l.ID, server, s.target.server(), urlVariable))
	}
	return nil
}

func (s *Session) scope(q request, maker *connection) map[string]string {
	return map[string]string{
		providers.ScopeRun: s.settings.Run, scopeRole: q.role, scopeHost: q.host, scopeServer: s.target.server(), scopeMaker: maker.token, scopePID: maker.id,
	}
}
