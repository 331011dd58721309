package mask

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// Within are the secrets within a secret that is a document: JSON, or base64 of it, as Google's keys are given. A program prints them one by one (jq -r .private_key), or
// writes the document in another way (jq -c, Python's repr), so that nothing of it is there as it was. Any other value has none.
//
// Which of its strings are secret is not said anywhere, and "production" in place of every "production" would make a log unreadable. So a string is a secret
//
//   - when its key says so: it has "secret", "token", "key", "pass", "pwd", "private" or "credential" in it, or ends in "auth"; but not where it is of another thing, as in
//     token_type, key_algorithm and public_key; a list's are told by the list's key, and those of a list without one are secrets
//   - or when it has twenty bytes or more and is not a name: lower-case words and numbers, as in my-project-1, db.example.com and a@example.com
//
// but of an address it is its password, or the whole where there is a query or something else in it that nobody can guess. A string that is a document itself is looked into.
// Numbers are none.
func Within(value string) []string {
	found := appendWithin(nil, value, 0)
	slices.Sort(found)
	return slices.Compact(found)
}

// deepest is how many documents may be in one another.
const deepest = 4

func appendWithin(found []string, value string, depth int) []string {
	document, ok := documentOf(value)
	if !ok || depth == deepest {
		return found
	}
	eachString(document, true, func(text string, telling bool) {
		found = appendSecret(found, text, telling)
		found = appendWithin(found, text, depth+1)
	})
	return found
}

// Strings are all the strings in a document, short ones and names too, for one of which all is said to be secret. Any other value has none, and ok is false.
func Strings(value string) (found []string, ok bool) {
	document, ok := documentOf(value)
	eachString(document, true, func(text string, _ bool) { found = append(found, text) })
	return found, ok
}

// eachString tells of each string whether its key does, too.
func eachString(v any, telling bool, do func(text string, telling bool)) {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			eachString(member, tells(key), do)
		}
	case []any:
		for _, element := range v {
			eachString(element, telling, do)
		}
	case string:
		do(v, telling)
	}
}

// documentOf is what a value that is JSON of several values, or base64 of it, stands for.
func documentOf(value string) (document any, ok bool) {
	text := strings.TrimSpace(value)
	if text == "" {
		return nil, false
	}
	if text[0] != '{' && text[0] != '[' {
		plain := strings.NewReplacer("\n", "", "\r", "", "=", "", "-", "+", "_", "/").Replace(text)
		decoded, err := base64.RawStdEncoding.DecodeString(plain)
		if err != nil {
			return nil, false
		}
		if text = strings.TrimSpace(string(decoded)); text == "" || text[0] != '{' && text[0] != '[' {
			return nil, false
		}
	}
	err := json.Unmarshal([]byte(text), &document)
	return document, err == nil
}

// The words of keys whose values are secrets, and the ends of keys that have such a word and are of another thing.
var (
	telling = []string{"secret", "token", "key", "pass", "pwd", "private", "credential"}
	others  = []string{"type", "kind", "algorithm", "alg", "name", "uri", "url", "endpoint", "version", "ttl", "expiry", "expires", "expiration"}
)

func tells(key string) bool {
	key = strings.ToLower(key)
	if strings.HasPrefix(key, "public") || slices.ContainsFunc(others, func(end string) bool { return strings.HasSuffix(key, end) }) {
		return false
	}
	return strings.HasSuffix(key, "auth") || slices.ContainsFunc(telling, func(word string) bool { return strings.Contains(key, word) })
}

// long is from where on a string that is not a name is masked: found nowhere else, it makes no log unreadable.
const long = 20

func appendSecret(found []string, text string, telling bool) []string {
	if len(strings.TrimSpace(text)) < MinLength {
		return found
	}
	if u, err := url.Parse(text); err == nil && u.Scheme != "" && u.Host != "" {
		guess := func(element string) bool { return isToken(element) && !isName(element) }
		password, _ := u.User.Password()
		if len(password) >= MinLength {
			found = append(found, password)
		}
		if u.RawQuery != "" || password != "" && len(password) < MinLength || slices.ContainsFunc(strings.Split(u.EscapedPath(), "/"), guess) {
			found = append(found, text)
		}
		return found
	}
	if telling || len(text) >= long && !isName(text) {
		found = append(found, text)
	}
	return found
}

// isName reports whether a text is lower-case words and numbers.
func isName(text string) bool {
	odd := func(r rune) bool { return !isWord(r) && !strings.ContainsRune("._-/:@", r) || unicode.IsUpper(r) }
	return !strings.ContainsFunc(text, odd) && !slices.ContainsFunc(strings.FieldsFunc(text, func(r rune) bool { return !isWord(r) }), isToken)
}

// isToken reports whether a word is one that nobody has chosen: long, and of letters and digits.
func isToken(word string) bool {
	return len(word) >= 16 && strings.ContainsFunc(word, unicode.IsDigit) && strings.ContainsFunc(word, unicode.IsLetter) &&
		!strings.ContainsFunc(word, func(r rune) bool { return !isWord(r) && r != '-' && r != '_' })
}

func isWord(r rune) bool { return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) }
