// Package receipt is the JSON account of a run, schema 1: what was issued, to which variables, and how it is known to be gone.
//
// It holds no secret and of the command only its name. Times are RFC 3339, durations whole seconds unless the name ends in _ms.
// Fields may be added within a schema; none changes its meaning.
package receipt

import (
	"time"

	"github.com/with-creds/with-creds/providers"
)

// Schema is the version of the format.
const Schema = 1

// A Receipt is the account of one run.
type Receipt struct {
	Schema      int          `json:"schema"`
	Run         string       `json:"run"`
	Version     string       `json:"version"`
	Command     string       `json:"command"` // argv[0]; arguments may be private
	Started     time.Time    `json:"started"`
	Ended       time.Time    `json:"ended"`
	ExitCode    int          `json:"exit_code"`
	Error       string       `json:"error,omitempty"` // why with-creds failed, when it did
	Credentials []Credential `json:"credentials"`
	Sessions    []Session    `json:"sessions,omitempty"`
	Masked      int          `json:"masked"`   // occurrences masked in the command's output
	Requests    int64        `json:"requests"` // round trips to the sources of credentials
	Timings     Timings      `json:"timings_ms"`
	CI          *CI          `json:"ci,omitempty"`
}

// A Credential is one that was issued.
type Credential struct {
	Source       string      `json:"source"`          // without parameters
	Lease        string      `json:"lease,omitempty"` // empty: nothing to revoke
	Username     string      `json:"username,omitempty"`
	Variables    []string    `json:"variables"`
	Files        int         `json:"files"`
	Issued       time.Time   `json:"issued"`
	TTL          int64       `json:"ttl"` // as issued; 0: no lease, no known end
	Renewals     int         `json:"renewals"`
	Replacements int         `json:"replacements"`
	Replaced     []Replaced  `json:"replaced,omitempty"` // what it took the place of, the oldest first; what is said above is of the last
	Revocation   *Revocation `json:"revocation,omitempty"`
}

// Replaced is a credential whose place another took before the run's end.
type Replaced struct {
	Lease      string      `json:"lease,omitempty"`
	Issued     time.Time   `json:"issued"`
	TTL        int64       `json:"ttl"`
	Revocation *Revocation `json:"revocation,omitempty"`
}

// A Session is the login that with-creds made for the run, when it made one.
type Session struct {
	Provider   string      `json:"provider"`
	Lease      string      `json:"lease"` // a token's accessor
	Revocation *Revocation `json:"revocation,omitempty"`
}

// Revocation says how a lease ended and how that is known.
type Revocation struct {
	Proof  providers.Proof `json:"proof"`
	At     time.Time       `json:"at"` // for "expires", when it ends
	TookMs int64           `json:"took_ms"`
	Error  string          `json:"error"`
}

// Timings are the phases of a run in milliseconds.
type Timings struct {
	Login   int64 `json:"login"`
	Issue   int64 `json:"issue"`
	Start   int64 `json:"start"`
	Command int64 `json:"command"`
	Revoke  int64 `json:"revoke"`
}

// CI is the job the run was part of.
type CI struct {
	System string `json:"system"`
	Job    string `json:"job,omitempty"`
	ID     string `json:"id,omitempty"` // the CI's own, which no other job has
	URL    string `json:"url,omitempty"`
}
