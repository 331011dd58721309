package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/with-creds/with-creds/providers"
)

// certificateKind marks a certificate of the PKI engine that has no lease, as most roles have it (generate_lease is off): it is revoked by its
// serial number.
const certificateKind = "certificate"

// leaseless is what a credential without a lease of Vault's has instead: of a certificate its serial number, by which it is revoked; of
// anything else the end alone, and whether Vault itself changes it then.
func leaseless(path string, secret *api.Secret, began time.Time) (l providers.Lease, rotates bool) {
	if isStore(secret) {
		return providers.Lease{}, false
	}
	data := secret.Data
	end := endOf(data, began)
	serial, _ := data["serial_number"].(string)
	mount, found := pkiMount(path)
	if !found || serial == "" || !filled(data["certificate"]) {
		_, rotates = data["last_vault_rotation"]
		return providers.Lease{Expires: end}, rotates
	}
	return providers.Lease{
		Provider: Name, ID: mount + "/cert/" + serial, Issued: began, Expires: end, MaxExpire: end,
		Scope: map[string]string{"kind": certificateKind, "mount": mount, "serial": serial},
	}, false
}

// pkiMount is where the engine of an issuing path is mounted.
func pkiMount(path string) (string, bool) {
	elements := strings.Split(path, "/")
	for i, e := range elements {
		switch e {
		case "issue", "issuer", "sign", "sign-verbatim":
			return strings.Join(elements[:i], "/"), i > 0 && i < len(elements)-1
		}
	}
	return "", false
}

// revokeCertificate puts a certificate on the revocation list (https://developer.hashicorp.com/vault/api-docs/secret/pki#revoke-certificate), which is
// rebuilt before the answer unless the engine is set to rebuild it by the clock. Where the policy does not have it, or the role keeps
// no certificates (no_store), it ends by itself: Expires.
func (s *Session) revokeCertificate(ctx context.Context, l providers.Lease) (providers.Proof, error) {
	answer, err := s.lifecycle(ctx, l.Scope["mount"]+"/revoke", map[string]any{"serial_number": l.Scope["serial"]})
	switch f, _ := errors.AsType[*failure](err); {
	case err == nil && answer.status == http.StatusOK && answer.secret != nil && answer.secret.Data["revocation_time"] != nil:
		return providers.Proven, nil
	case err == nil && answer.secret != nil && slices.ContainsFunc(answer.secret.Warnings, func(w string) bool { return strings.Contains(w, "already expired") }):
		return providers.Expires, nil // said two seconds before it has (revokeCert in builtin/logical/pki/crl_util.go): a list is for those that are valid otherwise
	case err == nil:
		return providers.Failed, fmt.Errorf("vault: revoking %s: the answer does not say that it was (%d)", l.ID, answer.status)
	case f != nil && f.meaning == forbidden, f != nil && f.meaning == invalid && strings.Contains(f.text, "not found"):
		return providers.Expires, nil
	}
	return providers.Failed, s.explain(err, "revoking", l.ID, "")
}
