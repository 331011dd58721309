package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/with-creds/with-creds/providers"
)

// SQLSTATE codes that are told apart (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const (
	codeInvalidAuthorization = "28000"
	codeInvalidPassword      = "28P01"
	codeInvalidCatalogName   = "3D000" // no such database
	codeUndefinedObject      = "42704" // no such role
	codeInsufficient         = "42501"
	codeReadOnly             = "25006"
	codeDependents           = "2BP01"
	codeUniqueViolation      = "23505"
	codeSerialization        = "40001"
	codeDeadlock             = "40P01"
	codeLockNotAvailable     = "55P03"
	codeObjectInUse          = "55006"
	codeInternal             = "XX000"
	codeTooManyConnections   = "53300"
	codeCannotConnectNow     = "57P03" // starting up, recovering, or shutting down
)

// The SQLSTATE codes of the statements in issue.go, of a class that the server leaves to applications.
const (
	codeNoGroup       = "WC001"
	codePowerfulGroup = "WC002"
	codeNoDatabase    = "WC003"
)

// sqlstate is the server's code for what went wrong, or "" when the error is not the server's.
func sqlstate(err error) string {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.Code
	}
	return ""
}

// contended reports an error that comes of two sessions changing the same role or object at once, after which the same statement
// can be sent again straight away.
func contended(err error) bool {
	switch sqlstate(err) {
	case codeSerialization, codeDeadlock, codeUniqueViolation, codeObjectInUse:
		return true
	case codeInternal:
		// Raised by elog() in the server's heap code, which is never translated: "tuple concurrently updated" or "deleted".
		return strings.Contains(err.Error(), "tuple concurrently ")
	}
	return false
}

// A failure is an error of this package. Wrapped in another, it does not say "postgres:" twice.
type failure struct {
	text  string
	cause error
}

func (f *failure) Error() string { return "postgres: " + f.text }
func (f *failure) Unwrap() error { return f.cause }

// Advice is for a doctor.
func (f *failure) Advice() string { return advice(f.cause) }

// failf is a failure whose text ends in the cause's, where there is one.
func failf(cause error, format string, args ...any) *failure {
	f := &failure{text: fmt.Sprintf(format, args...), cause: cause}
	if inner, ok := errors.AsType[*failure](cause); ok {
		f.text += ": " + inner.text
	} else if cause != nil {
		f.text += ": " + plain{cause}.Error()
	}
	return f
}

// explain says what was attempted, on what, why it failed and what to do, and marks what no retry mends. The cause's text comes
// from the server or the network; neither holds a secret (the server never sees a password in clear).
func explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if _, explained := errors.AsType[*failure](err); explained {
		return failf(err, "%s", doing) // advice is given, and ErrRefused wrapped, further in
	}
	f := failf(err, "%s", doing)
	f.text += advice(err)
	if permanent(err) {
		return providers.Refused(f)
	}
	return f
}

// A plain error prints the server's own words where there are any, without pgx's on how it got to them.
type plain struct{ error }

func (p plain) Error() string {
	if pgErr, ok := errors.AsType[*pgconn.PgError](p.error); ok {
		text := pgErr.Message
		if pgErr.Detail != "" {
			text += " (" + strings.ReplaceAll(pgErr.Detail, "\n", "; ") + ")"
		}
		return text + " [" + pgErr.Code + "]"
	}
	// Each try of pgx's has a line, and one with TLS often fails as one without.
	lines := slices.Compact(strings.Split(p.error.Error(), "\n"))
	return strings.Join(strings.Fields(strings.Join(lines, "; ")), " ")
}

func advice(err error) string {
	switch sqlstate(err) {
	case codeInvalidPassword, codeInvalidAuthorization:
		return ": check the administrator's login in " + urlVariable + " or PGUSER and PGPASSWORD (PGPASSFILE), and the server's pg_hba.conf"
	case codeInvalidCatalogName:
		return ": check PGDATABASE, or the database in " + urlVariable
	case codeInsufficient:
		return ": the administrator must be a superuser, or have CREATEROLE and, from PostgreSQL 16 on, GRANT group TO administrator WITH ADMIN OPTION"
	case codeDependents:
		return ": what others granted to it is theirs to revoke, or a superuser's: make " + urlVariable + " a superuser's, or have them revoke it"
	case codeLockNotAvailable:
		return ": another session holds a lock on something the role made (see pg_locks); it is tried again"
	case codeReadOnly:
		return ": this is a standby or read-only: name the primary, or several hosts with target_session_attrs=read-write"
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return ": check that a server listens there, and the address in " + urlVariable + " or PGHOST and PGPORT"
	}
	return ""
}

// permanent reports whether asking again is pointless. When in doubt it is not: a revocation given up too early leaves a login behind.
func permanent(err error) bool {
	switch code := sqlstate(err); {
	case len(code) != 5:
	case code == codeObjectInUse, contended(err):
		return false
	default:
		switch code[:2] {
		// Dependents that stayed for twenty rounds, bad login, no such database, no such role, no right, no such feature, and what
		// issue.go refuses.
		case "2B", "28", "3D", "42", "0A", "22", "WC":
			return true
		}
		return false
	}
	_, badCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknownAuthority := errors.AsType[x509.UnknownAuthorityError](err)
	_, wrongName := errors.AsType[x509.HostnameError](err)
	return badCertificate || unknownAuthority || wrongName
}
