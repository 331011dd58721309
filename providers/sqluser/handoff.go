package sqluser

import (
	"encoding/json"
	"errors"

	"github.com/with-creds/with-creds/providers"
)

// Handoff hands a session over: its target, which is all that is needed to log in as the administrator, files' content included.
func Handoff(provider, origin string, target any) providers.Handoff {
	data, err := json.Marshal(target)
	if err != nil {
		panic(provider + ": a target of strings does not marshal: " + err.Error())
	}
	return providers.Handoff{Provider: provider, Origin: origin, Data: data}
}

// Resume reads the target back.
func Resume(h providers.Handoff, target any) error {
	if err := json.Unmarshal(h.Data, target); err != nil {
		return errors.New("the handed over session is not readable") // not the error itself: it may quote the data
	}
	return nil
}
