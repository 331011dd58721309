package providers_test

import (
	"strings"
	"testing"

	"github.com/with-creds/with-creds/providers"
)

func TestAServersTextBecomesOneLineThatCommandsNobody(t *testing.T) {
	const most = 40
	for text, want := range map[string]string{
		"permission denied":                     "permission denied",
		"\r\n::warning::owned\r\n\x1b[2J\u009b": "::warning::owned [2J",
		"two\n\n  lines":                        "two  lines",
		"a\tb\u202ec\xffd ":                     "a b c d",
		"  kept":                                "  kept",
		strings.Repeat("é", most+1):             strings.Repeat("é", most) + "…",
		strings.Repeat("é", most):               strings.Repeat("é", most),
		"":                                      "",
	} {
		if got := providers.OneLine(text, most); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
