package vault

import (
	"context"
	"fmt"

	"github.com/with-creds/with-creds/providers"
)

// Write asks Vault for something on another provider's behalf, and returns the data of the answer. What it asks for leaves no lease: the request is repeated when its answer is
// lost. An error that wraps ErrRefused means that asking again is pointless.
func (s *Session) Write(ctx context.Context, path string, body map[string]any) (map[string]any, error) {
	answer, err := s.client.call(ctx, repeated, put, path, nil, body)
	hint := ""
	switch meansOf(err) {
	case "":
		if answer.secret == nil || answer.secret.Data == nil {
			return nil, providers.Refused(fmt.Errorf("vault: writing to %s: the answer holds no data", path))
		}
		return answer.secret.Data, nil
	case forbidden:
		hint = `the policy needs "update" on this path`
	case missing:
		hint = "is the engine mounted there?"
	}
	return nil, s.explain(err, "writing to", path, hint)
}
