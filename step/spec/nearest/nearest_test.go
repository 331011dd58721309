package nearest

import "testing"

func TestDidYouMeanNamesOnlyWhatIsNear(t *testing.T) {
	presets := []string{"postgres", "mysql", "mongodb", "git"}
	for word, want := range map[string]string{
		"postgre":  ` (did you mean "postgres"?)`,
		"psotgres": ` (did you mean "postgres"?)`,
		"mysqll":   ` (did you mean "mysql"?)`,
		"gti":      ` (did you mean "git"?)`,
		"":         "",
		"x":        "",
		"oracle":   "",
		"pg":       "",
		"aws":      "",
	} {
		if got := DidYouMean(word, presets); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"é", "e", 1}, {"same", "same", 0}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
