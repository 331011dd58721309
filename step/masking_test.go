package step

import (
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
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
		r := &run{Options: Options{Masking: masking, Stderr: out}, child: c.running}
		r.tellCI([]string{first + "\r\n" + second, "x"})
		out.Close()
		if got, err := io.ReadAll(in); err != nil || string(got) != c.want {
			t.Errorf("%s: %q (%v), want %q", name, got, err, c.want)
		}
		in.Close()
	}
}

func TestTheCIsLogFilterIsNotToldInAFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := &run{Options: Options{Masking: masking, Stderr: f}}
	r.tellCI([]string{rand.Text()})
	if info, err := f.Stat(); err != nil || info.Size() > 0 {
		t.Errorf("the file has %d bytes (%v)", info.Size(), err)
	}
}
