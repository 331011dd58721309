package main

import (
	"crypto/rand"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/joho/godotenv"
	"pgregory.net/rapid"
)

func TestADotenvFileIsReadAsWrittenOrRefusedWithItsLine(t *testing.T) {
	secret := rand.Text()
	url := "postgres://ci:" + secret
	for text, want := range map[string]string{ // the value of WITH_CREDS_POSTGRES_URL, or an error
		// A $ that godotenv would make nothing of
		"WITH_CREDS_POSTGRES_URL=" + url + "$SWORD9@db":                       "line 1: the value of WITH_CREDS_POSTGRES_URL has a $",
		"\n# a comment\nWITH_CREDS_POSTGRES_URL=\"" + url + "${A}@db\"":       "line 3: the value of WITH_CREDS_POSTGRES_URL has a $",
		"A=\"1\n2\"\nWITH_CREDS_POSTGRES_URL=" + url + "$B@db\nB=later":       "line 3: the value of WITH_CREDS_POSTGRES_URL has a $",
		"WITH_CREDS_POSTGRES_URL='" + url + "$SWORD9@db'":                     url + "$SWORD9@db",
		"WITH_CREDS_POSTGRES_URL=" + url + `\$SWORD9@db`:                      url + "$SWORD9@db",
		"WITH_CREDS_POSTGRES_URL=\"" + url + `\$SWORD9@db"`:                   url + "$SWORD9@db",
		"WITH_CREDS_POSTGRES_URL=" + url + "$lower@db":                        url + "$lower@db",
		"WITH_CREDS_POSTGRES_URL=" + url + "@db # for $NOBODY":                url + "@db",
		"HOST=db\nWITH_CREDS_POSTGRES_URL=" + url + "@$HOST":                  url + "@db",
		"\ufeffWITH_CREDS_POSTGRES_URL=" + url:                                url,
		"WITH_CREDS_POSTGRES_URL=" + url + "\r\nWITH_CREDS_LEASH=5m\r\n":      url,
		"WITH_CREDS_LEASH=5m\n\nWITH_CREDS_POSTGRES_URL=\"" + url + "\n":      "line 3 is not NAME=value",
		"WITH_CREDS_POSTGRES_URL=\"" + url + "\n\"\n\njust words":             "line 4 is not NAME=value",
		"WITH_CREDS=\"vault:a\"\nWITH_CREDS=\"vault:b\"":                      "line 2: WITH_CREDS is in line 1 already; it takes several specs",
		"WITH_CREDS_POSTGRES_URL=" + url + "\nWITH_CREDS_POSTGRES_URL=" + url: "line 2: WITH_CREDS_POSTGRES_URL is in line 1 already",
	} {
		values, err := parseDotenv(text)
		got := values["WITH_CREDS_POSTGRES_URL"]
		switch {
		case err != nil && (!strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), secret)):
			t.Errorf("%q\n says   %v\n wanted %s", text, err, want)
		case err == nil && strings.TrimSpace(got) != want:
			t.Errorf("%q\n is %q\n wanted %s", text, got, want)
		}
	}
}

// TestADotenvTextIsCutWhereItsReaderCutsIt has texts of what matters to it, in any order.
func TestADotenvTextIsCutWhereItsReaderCutsIt(t *testing.T) {
	piece := rapid.SampledFrom([]string{"A", "B", "C=", "D: ", "=", "\"", "'", "\\", "#", " ", "\t", "\n", "\r\n", "$A", "export ", "é"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(piece, 0, 30).Draw(t, "pieces"), "")
		names := map[string]bool{}
		for _, a := range assignments(text) {
			one, err := godotenv.Unmarshal(a.text)
			if _, nameless := one[""]; err != nil || nameless || len(one) != 1 {
				return // it is refused
			}
			for name := range one {
				names[name] = true
			}
		}
		whole, err := godotenv.Unmarshal(text)
		if err != nil || !slices.Equal(slices.Sorted(maps.Keys(whole)), slices.Sorted(maps.Keys(names))) {
			t.Errorf("%q has %v; its reader says %v", text, names, err)
		}
	})
}

func TestAFileThatIsTooLongForSettingsIsNotCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "long.env")
	text := strings.Repeat("# "+strings.Repeat("x", 1021)+"\n", 1024) // 1 MiB
	for _, c := range []struct {
		more string
		bad  bool
	}{{"", false}, {"WITH_CREDS_LEASH=1h\n", true}} {
		if err := os.WriteFile(path, []byte(text+c.more), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := dotenvLayer(path, ".", false); (err != nil) != c.bad {
			t.Errorf("%d bytes: %v", len(text)+len(c.more), err)
		}
	}
}
