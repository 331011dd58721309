//go:build linux

package sdk

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/docker/cli/pkg/kvfile"

	"github.com/with-creds/with-creds/step/bind"
)

// The reader of `docker run --env-file`, the package itself: the command need not be installed.
func TestDockersOwnReaderGivesTheBytesBack(t *testing.T) {
	text := []rune("abcXYZ019%+,-./:=@^_~!?*[]{}#é€ß語\ufeff'\"\\$`;&|<>() \t\n\r\x01\u00a0\u2028")
	written, refused := 0, 0
	for range 20000 {
		var values []bind.Value
		var want []string
		for _, name := range []string{"A", "export", "B_1"} {
			runes := make([]rune, rand.IntN(8))
			for i := range runes {
				runes[i] = text[min(rand.IntN(len(text)), rand.IntN(len(text)), rand.IntN(len(text)))] // the first ones, which a file can carry, more often
			}
			values = append(values, bind.Value{Name: name, Value: string(runes)})
			want = append(want, name+"="+string(runes))
		}
		file, err := bind.EnvFile(values)
		if err != nil {
			refused++
			continue
		}
		written++
		got, err := kvfile.ParseFromReader(strings.NewReader(file), nil)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q is read as %q, %v", want, got, err)
		}
	}
	if written < 1000 || refused < 1000 {
		t.Errorf("%d files were written and %d refused: too few to say anything", written, refused)
	}
}
