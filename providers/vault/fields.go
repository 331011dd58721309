package vault

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/with-creds/with-creds/providers"
)

// public are the fields, at the top of an answer, that are no secret: names, numbers and what a certificate says to everybody. Whatever is not here is masked.
//
// An AWS access key id is a user's name, not a secret (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html), and it
// is what one looks for in CloudTrail.
var public = []string{
	"access_key", "arn", "authority_key_id", "ca_chain", "certificate", "client_id", "distinguished_names", "dn", "expiration", "expire_time",
	"expires_at_seconds", "expires_in", "expires_on", "ip", "issuing_ca", "key_type", "last_vault_rotation", "lease_duration", "not_before", "port", "private_key_type", "public_key",
	"resource", "rotation_period", "serial_number", "service_account_name", "service_account_namespace", "signed_key", "ssh_key_type", "token_ttl", "token_type", "ttl", "username",
}

// A flattener collects the fields of an answer: nested names are joined by dots; a list of plain values is one field with a line for each, and
// also one field for each with its index; a list of anything else has fields by index alone.
type flattener struct {
	seen   map[string]bool
	fields []providers.Field
}

func (f *flattener) add(name, value string, secret bool) {
	if f.seen[name] {
		return // {"a.b": …, "a": {"b": …}}: the one that is written so comes first
	}
	f.seen[name] = true
	f.fields = append(f.fields, providers.Field{Name: name, Value: value, Secret: secret})
}

// walk goes through an answer in the order of the names, for JSON objects have none.
func (f *flattener) walk(prefix string, data map[string]any, secret func(name string) bool) {
	keys := slices.Sorted(maps.Keys(data))
	for _, nested := range []bool{false, true} {
		for _, key := range keys {
			if _, is := data[key].(map[string]any); is == nested {
				f.value(prefix+key, data[key], secret)
			}
		}
	}
}

func (f *flattener) value(name string, value any, secret func(string) bool) {
	switch v := value.(type) {
	case map[string]any:
		f.walk(name+".", v, secret)
	case []any:
		if lines, ok := scalars(v); ok {
			f.add(name, strings.Join(lines, "\n"), secret(name))
		}
		for i, element := range v {
			f.value(name+"."+strconv.Itoa(i), element, secret)
		}
	case nil:
		// There is no such field: a variable of that name would be set to nothing.
	default:
		f.add(name, scalar(v), secret(name))
	}
}

func scalars(list []any) ([]string, bool) {
	lines := make([]string, len(list))
	for i, v := range list {
		switch v.(type) {
		case map[string]any, []any:
			return nil, false
		case nil:
		default:
			lines[i] = scalar(v)
		}
	}
	return lines, true
}

// scalar writes a value as it stood in the answer: numbers digit for digit.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return fmt.Sprint(v)
}

// isSecret says it of a field of an engine's answer.
func isSecret(name string) bool {
	top, index, nested := strings.Cut(name, ".")
	if nested {
		if _, err := strconv.Atoi(index); err != nil {
			return true
		}
	}
	return !slices.Contains(public, top)
}

// fieldsOf turns an answer's data into fields. Of a key-value store's second version it is the secret itself that they are made of, with the
// version and the times as metadata.*.
func fieldsOf(data map[string]any) []providers.Field {
	f := flattener{seen: map[string]bool{}}
	if inner, metadata, ok := versioned(data); ok {
		f.walk("", inner, isSecret)
		f.walk("metadata.", metadata, func(string) bool { return false })
		return f.fields
	}
	f.walk("", data, isSecret)
	return f.fields
}

// versioned recognises the answer of kv version 2: https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version
func versioned(data map[string]any) (inner, metadata map[string]any, ok bool) {
	metadata, ok = data["metadata"].(map[string]any)
	if !ok || len(data) != 2 || metadata["version"] == nil || metadata["created_time"] == nil {
		return nil, nil, false
	}
	inner, ok = data["data"].(map[string]any)
	return inner, metadata, ok
}

// endOf is when a credential without a lease ends, where its engine says so; zero: not known, or never.
func endOf(data map[string]any, now time.Time) time.Time {
	for _, name := range []string{"expiration", "expires_at_seconds", "expires_on"} { // pki, gcp, azure
		if at, ok := number(data[name]); ok && at > now.Unix() {
			return time.Unix(at, 0)
		}
	}
	if signed, ok := data["signed_key"].(string); ok { // ssh
		if key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(signed)); err == nil {
			if c, ok := key.(*ssh.Certificate); ok && c.ValidBefore < 1<<40 {
				return time.Unix(int64(c.ValidBefore), 0)
			}
		}
	}
	if _, rotates := data["last_vault_rotation"]; rotates { // a static role's password
		if ttl, ok := number(data["ttl"]); ok { // 0, and less, while the rotation is due and not done yet
			return now.Add(time.Duration(max(ttl, 0)) * time.Second)
		}
	}
	return tokenEnd(data["token"]) // identity's
}

func number(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return i, err == nil && i < 1<<40
}
