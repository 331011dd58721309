package sqluser

import "github.com/with-creds/with-creds/providers"

// OfGroup picks the leases of users that were made for a group, or role; all of them where it is empty.
func OfGroup(all []providers.Lease, group string) []providers.Lease {
	var some []providers.Lease
	for _, l := range all {
		if group == "" || l.Scope[providers.ScopeGroup] == group {
			some = append(some, l)
		}
	}
	return some
}

// First is the first of the leases, or none.
func First(found []providers.Lease) providers.Lease {
	if len(found) == 0 {
		return providers.Lease{}
	}
	return found[0]
}
