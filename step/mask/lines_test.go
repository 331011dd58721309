package mask

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

func TestLinesAreWhatIsWorthMaskingOfAValue(t *testing.T) {
	long, other := random(40, alphanumeric), random(40, alphanumeric)
	for _, row := range []struct {
		value string
		want  []string
	}{
		{long, []string{long}},
		{" " + long + "\r\n", []string{long}},
		{long + "\n\n\t" + other + "\r\nshort", []string{long, other}},
		{"-----BEGIN PRIVATE KEY-----\n" + long + "\n-----END PRIVATE KEY-----\n", []string{long}},
		{"-----" + long, []string{"-----" + long}},             // no armour
		{"-----BEGIN " + long, []string{"-----BEGIN " + long}}, // all there is of the value
		{"clusters:", []string{"clusters:"}},
		{long[:3], nil},
		{`{"type": "service_account", "private_key": "` + long + `\n` + other + `\n"}`, []string{`{"type": "service_account", "private_key": "` + long + `\n` + other + `\n"}`, long, other}},
		{"apiVersion: v1\nclusters:\n- name: c\n  cluster:\n    \"server\": {\n    token: " + long + "\n    client-key-data: " + other + "\n======\n",
			[]string{"token: " + long, "client-key-data: " + other}},
	} {
		if got := Lines(row.value); !slices.Equal(got, row.want) {
			t.Errorf("%q: %q, want %q", row.value, got, row.want)
		}
	}
}

func TestLineFormsAreWhatTheLineAloneDoesNotMask(t *testing.T) {
	secret := random(15, alphanumeric) + `"/+` + random(15, alphanumeric)
	told := append(LineForms(secret), Lines(secret)...)
	for _, printed := range []string{
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte("a:" + secret + "\n")), base64.URLEncoding.EncodeToString([]byte("x" + secret + "yz")),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))), strings.ReplaceAll(secret, `"`, `\"`), strings.ReplaceAll(secret, `"`, `&quot;`),
	} {
		if !slices.ContainsFunc(told, func(text string) bool { return strings.Contains(printed, text) }) {
			t.Errorf("nothing of %q is in %q", told, printed)
		}
	}
	for i, form := range told[:len(told)-1] {
		if slices.ContainsFunc(told[:i], func(shorter string) bool { return strings.Contains(form, shorter) }) || strings.ContainsAny(form, "\r\n") {
			t.Errorf("%q is masked without it", form)
		}
	}
	// As a runner does: each line by itself. A key that somebody prints with base64(1).
	all := samples()
	key := all[len(all)-1].value
	printed := wrap(base64.StdEncoding.EncodeToString([]byte(key)), 76, "\n")
	told = append(LineForms(key), Lines(key)...)
	for line := range strings.SplitSeq(printed, "\n") {
		if !slices.ContainsFunc(told, func(text string) bool { return strings.Contains(line, text) }) {
			t.Errorf("%q is printed as it is", line)
		}
	}
	if lines := len(Lines(key)); len(told) > 25*lines {
		t.Errorf("%d texts for a key of %d lines", len(told), lines)
	}
}
