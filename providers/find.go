package providers

import (
	"context"
	"time"
)

// A Finder is a Session that can look at leases it has no handle of, its own or another's: for an incident, and for what no journal names. Its methods
// change nothing. An error that wraps ErrRefused says which right is missing.
type Finder interface {
	// Find lists the leases under a place, in the order of their IDs: for Vault a path ("database/creds/readonly", or a part of one), for PostgreSQL a group, for MySQL a role.
	// An empty place means all there are.
	Find(ctx context.Context, under string) ([]Lease, error)
	// Lookup is what the server knows of one lease; the zero Lease when it knows none.
	Lookup(ctx context.Context, id string) (Lease, error)
}

// A Dropper is a Finder whose server takes the end of all leases under a place as one order, and carries it out by itself.
type Dropper interface {
	// Drop gives the order. Accepted: the server promised to end all that there was at that moment.
	Drop(ctx context.Context, under string) (Proof, error)
}

// An Expirer is a Session whose server keeps logins after their end, so that somebody has to take away those that a lost machine left.
type Expirer interface {
	// Expired lists what was issued by with-creds and ended longer than past ago.
	Expired(ctx context.Context, past time.Duration) ([]Lease, error)
}

// The keys of a Lease's Scope that mean the same for every provider, and are for people to read.
const (
	ScopeRun     = "run"     // the run that it was issued for
	ScopeGroup   = "group"   // what it was asked for by: a group, a role
	ScopeRenewed = "renewed" // when it was renewed last, as RFC 3339
)
