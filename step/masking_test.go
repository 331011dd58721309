package step

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/child"
	"github.com/with-creds/with-creds/step/mask"
	"github.com/with-creds/with-creds/step/spec"
)

func masking(value string) (string, bool) { return "::add-mask::" + value, true }

// TestTheCIsLogFilterIsToldOnALineOfItsOwn has a command that runs, and may be in the middle of a line.
func TestTheCIsLogFilterIsToldOnALineOfItsOwn(t *testing.T) {
	first, second := rand.Text(), rand.Text()
	want := "::add-mask::" + first + "\n::add-mask::" + second + "\n"
	for name, c := range map[string]struct {
		running *child.Child
		want    string
	}{
		"before the command": {nil, want},
		"while it runs":      {&child.Child{}, "\n" + want},
	} {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		r := &run{Options: Options{Masking: masking, Stderr: out, Log: Log{Command: func(text string) { got.WriteString(text) }}}, child: c.running}
		r.tellCI([]string{"-----BEGIN PRIVATE KEY-----\n" + first + "\r\n" + second + "\nclusters:\n", "x"})
		out.Close()
		in.Close()
		if got.String() != c.want {
			t.Errorf("%s: %q, want %q", name, got.String(), c.want)
		}
	}
}

func TestTheCIsLogFilterIsNotToldInAFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := &run{Options: Options{Masking: masking, Stderr: f, Log: Log{Command: func(text string) { t.Errorf("it is told %q", text) }}}}
	r.tellCI([]string{rand.Text()})
}

// TestEverySecretOfAValueIsMasked has values of several fields, some of which their filters leave so that they are not known as the field they were.
func TestEverySecretOfAValueIsMasked(t *testing.T) {
	plain, hidden, user := rand.Text(), rand.Text(), "app-writer"
	fields := []providers.Field{
		{Name: "a", Value: plain, Secret: true}, {Name: "b", Value: base64.StdEncoding.EncodeToString([]byte(hidden)), Secret: true},
		{Name: "short", Value: "abc", Secret: true}, {Name: "username", Value: user},
	}
	for binding, want := range map[string]string{
		`'{a} {b|unbase64}'`:                "*** ***",
		`'{b|unbase64}, {username}, {a}'`:   "***, " + user + ", ***",
		`'https://{username}:{a|url}@host'`: "https://" + user + ":***@host",
		`'{username}:{short}'`:              "***",
		`@'{b|unbase64|json} {username}'`:   "*** " + user,
	} {
		s, err := spec.Parse("fake:x X=" + binding)
		if err != nil {
			t.Fatal(err)
		}
		c := &issued{spec: s, credential: providers.Credential{Fields: fields}}
		if c.values, err = bind.Bind(s, c.credential, bind.Options{}); err != nil {
			t.Fatal(err)
		}
		r := &run{Options: Options{Mask: true, Log: Log{}.orSilent()}, masker: mask.New(mask.Options{}), issued: []*issued{c}}
		r.mask(c)
		var out strings.Builder
		if err := r.masker.Copy(&out, strings.NewReader(c.values[0].Value)); err != nil || out.String() != want {
			t.Errorf("%s: %q (%v), want %q", binding, out.String(), err, want)
		}
		// Whoever masks for another process is told as much.
		other := mask.New(mask.Options{})
		other.Add(r.secretsNow()...)
		if !strings.Contains(want, "http") && !other.Covers(strings.ReplaceAll(c.values[0].Value, user, "")) {
			t.Errorf("%s: what is held for others leaves a secret", binding)
		}
	}
}
