package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/sqluser"
)

// Error numbers that are told apart. Those below 3000 are both servers' alike (https://mariadb.com/kb/en/mariadb-error-code-reference/,
// https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html).
const (
	errDBAccessDenied      = 1044
	errAccessDenied        = 1045
	errBadDatabase         = 1049
	errServerShutdown      = 1053
	errUnknownThread       = 1094
	errKillDenied          = 1095
	errTooManyConnections  = 1040
	errTableAccessDenied   = 1142
	errUnknownPlugin       = 1524
	errLockWaitTimeout     = 1205
	errDeadlock            = 1213
	errSpecificAccess      = 1227
	errNoRight             = 1698 // a login without the password that is needed; and, on MariaDB, a role that is not one's to grant
	errPasswordPolicy      = 1819
	errOptionPreventsWrite = 1290 // --read-only
	errHostBlocked         = 1129
	errHostNotAllowed      = 1130
	errEventMissing        = 1539
	errCannotGrantRole     = 1961 // MariaDB
	errInvalidRole         = 1959 // MariaDB
	errUnknownAuthID       = 3523 // MySQL
	errReadOnlyMode        = 1836
	errReadOnlyTransaction = 1792
	errReferencedAsDefiner = 4006 // MySQL from 8.0.22 on
)

// number is the server's number for what went wrong; 0 when the error is not the server's.
func number(err error) uint16 {
	if serverErr, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return serverErr.Number
	}
	return 0
}

// contended reports an error after which the same statement can be sent again straight away.
func contended(err error) bool {
	switch number(err) {
	case errDeadlock, errLockWaitTimeout:
		return true
	}
	return false
}

// failed is an error as it leaves the package: what was attempted, why it failed and what to do, marked where no retry mends it. The
// server's words hold no secret, for it never sees a password in clear.
func failed(err error, doing string) error {
	if err == nil {
		return nil
	}
	if doing != "" {
		doing += ": "
	}
	f := failure{"mysql: " + doing + words(err) + advice(err), err}
	if permanent(err) {
		return providers.Refused(f)
	}
	return f
}

// A failure keeps its cause for errors.Is, and not in its text.
type failure struct {
	text  string
	cause error
}

func (f failure) Error() string { return f.text }
func (f failure) Unwrap() error { return f.cause }

// Advice is for a doctor.
func (f failure) Advice() string { return advice(f.cause) }

// words are the server's own, in one line.
func words(err error) string {
	if serverErr, ok := err.(*mysql.MySQLError); ok { //nolint:errorlint // a wrapped one has its wrapper's words around it
		return fmt.Sprintf("%s [%d]", strings.Join(strings.Fields(serverErr.Message), " "), serverErr.Number)
	}
	if lost, ok := err.(sqluser.Lost); ok { //nolint:errorlint // likewise
		return "the connection broke: " + words(lost.Unwrap())
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

func advice(err error) string {
	switch number(err) {
	case errAccessDenied, errHostNotAllowed:
		return ": check the administrator's login in " + urlVariable + " or MYSQL_USER and MYSQL_PWD, and from which hosts it may log in"
	case errBadDatabase:
		return ": check the database in " + urlVariable + " or MYSQL_DATABASE"
	case errHostBlocked:
		return ": the server refuses this host after too many broken connections: FLUSH HOSTS there"
	case errNoRight:
		return ": the administrator needs the role WITH ADMIN OPTION (or, if it cannot even log in, its password in " + urlVariable + ")"
	case errSpecificAccess, errTableAccessDenied, errDBAccessDenied, errCannotGrantRole:
		if number(err) == errDBAccessDenied && errors.Is(err, errNotSent) {
			return ": leave the database out of " + urlVariable + " or MYSQL_DATABASE: it is not needed, and the administrator may not enter it"
		}
		return ": the administrator needs CREATE USER, the role WITH ADMIN OPTION, PROCESS, CONNECTION ADMIN, SELECT on mysql.* and, on MariaDB, UPDATE on mysql.*"
	case errKillDenied:
		return ": the administrator needs CONNECTION ADMIN (CONNECTION_ADMIN on MySQL) to end sessions"
	case errUnknownPlugin:
		return ": the server does not know this way to check passwords: choose another with auth= (on MariaDB, ed25519 is had by INSTALL SONAME 'auth_ed25519')"
	case errOptionPreventsWrite, errReadOnlyMode, errReadOnlyTransaction:
		return ": if this is a replica or read-only, name the primary"
	case errPasswordPolicy:
		return ": the server wants to see passwords to judge them (strict_password_validation); with-creds gives it hashes of random ones only"
	case errReferencedAsDefiner:
		return ": give what it made another DEFINER, or grant the administrator ALLOW_NONEXISTENT_DEFINER (SET_USER_ID before 8.2), and revoke again"
	}
	if errors.Is(err, errForeignKey) {
		return ": turn TLS on there, and use ssl-mode=VERIFY_IDENTITY in " + urlVariable + ", or have the administrator log in over a socket or by a tunnel"
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return ": check that a server listens there, and the address in " + urlVariable + " or MYSQL_HOST and MYSQL_TCP_PORT"
	}
	return ""
}

// permanent reports whether asking again is pointless. When in doubt it is not: a revocation given up too early leaves a login behind.
func permanent(err error) bool {
	switch number(err) {
	case errAccessDenied, errNoRight, errHostNotAllowed, errBadDatabase, errSpecificAccess, errTableAccessDenied, errDBAccessDenied, errCannotGrantRole,
		errInvalidRole, errUnknownAuthID, errUnknownPlugin, errOptionPreventsWrite, errReadOnlyMode, errPasswordPolicy, errKillDenied, errReferencedAsDefiner:
		return true
	}
	_, badCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknownAuthority := errors.AsType[x509.UnknownAuthorityError](err)
	_, wrongName := errors.AsType[x509.HostnameError](err)
	return badCertificate || unknownAuthority || wrongName || errors.Is(err, providers.ErrRefused)
}

// brokeOff reports that a statement was sent and no answer to it came.
func brokeOff(err error) bool {
	return err != nil && (number(err) == 0 || number(err) == errServerShutdown) && !errors.Is(err, errNotSent) && !errors.Is(err, providers.ErrRefused) ||
		errors.Is(err, context.DeadlineExceeded)
}

// errNotSent is wrapped by errors that came before anything was sent.
var errNotSent = errors.New("not sent")
