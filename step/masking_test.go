package step

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/step/child"
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
		r.tellCI([]string{first + "\r\n" + second, "x"})
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
