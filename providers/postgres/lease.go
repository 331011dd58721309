package postgres

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/with-creds/with-creds/providers"
)

// The keys of a lease's Scope.
const (
	scopeGroup  = providers.ScopeGroup // who inherits what the role made
	scopeServer = "server"             // host and port, so that it is not looked for, and found missing, on another server
	scopeMaker  = "application"        // application_name of the session that makes the role: unique, unlike a process number
	scopePID    = "pid"                // the same session's process on the server, for people
)

// rolePrefix begins every role's name.
const rolePrefix = "wc_"

var roleName = regexp.MustCompile(`^wc_[a-z0-9_]{1,60}$`)

// newRoleName names the group and the run for who reads the server's logs, and ends in 60 random bits. It is at most 63 bytes of
// a–z, 0–9 and _, which every tool takes without quotes.
func newRoleName(group, run string) string {
	return rolePrefix + providers.LowerName(group, 24) + "_" + providers.LowerName(run, 20) + "_" + providers.LowerText(12)
}

// checkLease refuses to touch a role that is not of this package's making, or that is another server's.
func (s *Session) checkLease(l providers.Lease) error {
	if l.Provider != Name || !roleName.MatchString(l.ID) {
		return providers.Final(failf(nil, "%q is no role that with-creds made", l.ID))
	}
	if server, known := l.Scope[scopeServer]; known && server != s.target.server() {
		return providers.Final(failf(nil, "role %s is on %s, and this session is with %s: set %s to that server",
			l.ID, server, s.target.server(), urlVariable))
	}
	return nil
}

func (s *Session) scope(group string, maker *connection) map[string]string {
	return map[string]string{
		scopeGroup: group, scopeServer: s.target.server(),
		scopeMaker: maker.token, scopePID: strconv.FormatUint(uint64(maker.pg.PID()), 10),
	}
}

// commentMark begins the comment on every role, followed by the run and the group.
const commentMark = "with-creds run "

func roleComment(run, group string) string {
	return commentMark + providers.LowerName(run, 64) + " for group " + group
}

// readComment reads back what roleComment wrote.
func readComment(comment string) (run, group string, ours bool) {
	rest, ours := strings.CutPrefix(comment, commentMark)
	if !ours {
		return "", "", false
	}
	run, group, ours = strings.Cut(rest, " for group ")
	return run, group, ours
}
