package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/with-creds/with-creds/providers"
)

// version is the protocol's.
const version = 1

const (
	maxAnswer = 1 << 20  // bytes of standard output
	maxLease  = 16 << 10 // bytes of a lease
	maxFields = 100
	mostWords = 1000 // characters of an error or a warning
)

// The actions.
const (
	actionIssue  = "issue"
	actionRenew  = "renew"
	actionRevoke = "revoke"
)

// A question is what a program reads.
type question struct {
	Version    int               `json:"version"`
	Action     string            `json:"action"`
	ID         string            `json:"id"`
	Run        string            `json:"run,omitempty"`
	TTL        int64             `json:"ttl,omitempty"` // seconds
	Parameters map[string]string `json:"parameters,omitempty"`
	Lease      json.RawMessage   `json:"lease,omitempty"`
}

// An answer is what it writes.
type answer struct {
	Version   int              `json:"version"`
	Error     string           `json:"error"`
	Refused   bool             `json:"refused"`
	Fields    map[string]field `json:"fields"`
	Lease     json.RawMessage  `json:"lease"`
	TTL       float64          `json:"ttl"`
	MaxTTL    float64          `json:"max_ttl"`
	Renewable bool             `json:"renewable"`
	Revocable *bool            `json:"revocable"`
	Warnings  []string         `json:"warnings"`
	Proof     providers.Proof  `json:"proof"`
}

// A field is a string, which is secret, or {"value": …, "secret": …}.
type field struct {
	value  string
	secret bool
}

var errField = errors.New(`a field is a string, or {"value": "…", "secret": false}`)

func (f *field) UnmarshalJSON(text []byte) error {
	f.secret = true
	if bytes.HasPrefix(text, []byte(`"`)) {
		return json.Unmarshal(text, &f.value)
	}
	var long struct {
		Value  *string `json:"value"`
		Secret *bool   `json:"secret"`
	}
	if err := json.Unmarshal(text, &long); err != nil || long.Value == nil {
		return errField
	}
	f.value = *long.Value
	if long.Secret != nil {
		f.secret = *long.Secret
	}
	return nil
}

// parseAnswer reads an answer. Its errors say what is wrong and quote nothing, for a secret may be anywhere.
func parseAnswer(text []byte) (answer, error) {
	var a answer
	in := json.NewDecoder(bytes.NewReader(text))
	if err := in.Decode(&a); err != nil {
		if len(bytes.TrimSpace(text)) == 0 {
			return a, errors.New("it answered nothing on standard output")
		}
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
			return a, fmt.Errorf("its answer's %s cannot be a JSON %s", providers.OneLine(wrong.Field, 100), wrong.Value)
		}
		if errors.Is(err, errField) {
			return a, fmt.Errorf("its answer's fields: %w", errField)
		}
		return a, errors.New("its answer is not a JSON object")
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return a, errors.New("something follows its answer on standard output: what is for people goes to standard error")
	}
	if a.Error != "" { // of another version, too
		return a, nil
	}
	if a.Version != version {
		return a, fmt.Errorf("its answer is of version %d of the protocol, and this is version %d", a.Version, version)
	}
	switch {
	case len(a.Lease) > maxLease:
		return a, fmt.Errorf("its lease is longer than %d bytes", maxLease)
	case !seconds(a.TTL) || !seconds(a.MaxTTL):
		return a, errors.New("its ttl or max_ttl is not a number of seconds")
	case len(a.Fields) > maxFields:
		return a, fmt.Errorf("it answered more than %d fields", maxFields)
	}
	for name := range a.Fields {
		if name == "" || strings.ContainsRune(name, ':') || strings.ContainsFunc(name, unicode.IsControl) || len(name) > 200 {
			return a, errors.New("it answered a field whose name is empty, too long, or holds a colon or a control character")
		}
	}
	return a, nil
}

func seconds(n float64) bool { return n >= 0 && n < 1e9 }

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// fields are the answer's, by name.
func (a answer) fields() []providers.Field {
	var list []providers.Field
	for _, name := range slices.Sorted(maps.Keys(a.Fields)) {
		f := a.Fields[name]
		list = append(list, providers.Field{Name: name, Value: f.value, Secret: f.secret})
	}
	return list
}

// secrets are the values of the answer that must not be shown.
func (a answer) secrets() []string {
	var list []string
	for _, f := range a.Fields {
		if f.secret {
			list = append(list, f.value)
		}
	}
	return list
}

// errSecretInLease is why an answer is not taken.
var errSecretInLease = errors.New("a secret field's value is in its lease, which is written to a disk: leave it out, or mark the field {\"secret\": false}")

// inLease reports whether a value is in a lease, however JSON writes it there.
func inLease(lease, value string) bool {
	if len(value) < leastLong || lease == "" {
		return false
	}
	var read any
	if json.Unmarshal([]byte(lease), &read) != nil {
		return false
	}
	return strings.Contains(lease, value) || strings.Contains(written(read), strings.Trim(written(value), `"`))
}

// written is JSON in one way of the many.
func written(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("command: what was JSON does not marshal: " + err.Error())
	}
	return string(text)
}

// failed is the answer's own word that it is none.
func (a answer) failed(hidden []string) error {
	if a.Error == "" {
		return nil
	}
	err := errors.New(hide(providers.OneLine(a.Error, mostWords), append(a.secrets(), hidden...)))
	if a.Refused {
		return providers.Refused(err)
	}
	return err
}
