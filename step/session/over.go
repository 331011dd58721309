package session

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/with-creds/with-creds/step/bind"
)

// wordName is the file in the directory of a session that is over.
const wordName = "with-creds.ended"

// wordsLast is how long it stays: longer than a job.
const wordsLast = 24 * time.Hour

// Over is a session that has ended, as an error.
type Over struct {
	Session string `json:"session"`
	End
	Lines []string `json:"lines"` // of its log, which nobody was told
}

func (o *Over) Error() string {
	proof := "everything it had is proven to be revoked"
	if o.Code != 0 {
		proof = fmt.Sprintf("it is not proven that everything it had is revoked (exit code %d)", o.Code)
	}
	return fmt.Sprintf("session %s: it has ended already: %s; %s", o.Session, o.Why, proof)
}

// leaveWord puts it into the directory of the session, in one step.
func leaveWord(dir string, o Over) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, wordName)
	var word bind.Replacement
	defer word.Drop() //nolint:errcheck // what is left there Forget removes with the directory
	if err := word.Private(path, bind.Beside(path), string(text)+"\n"); err != nil {
		return err
	}
	return word.Do()
}

// wordOf is what a session has left, where it has.
func wordOf(dir string) (o Over, found bool) {
	if bind.IsPrivate(dir) != nil {
		return o, false
	}
	text, err := os.ReadFile(filepath.Join(dir, wordName))
	return o, err == nil && json.Unmarshal(text, &o) == nil
}

// Forget removes what sessions have left in a place, of those that ended a day ago or earlier.
func Forget(place string) {
	entries, err := os.ReadDir(place)
	if err != nil {
		return
	}
	for _, e := range entries {
		dir := filepath.Join(place, e.Name())
		if !strings.HasPrefix(e.Name(), "with-creds-") || bind.IsPrivate(dir) != nil {
			continue
		}
		if word, err := os.Lstat(filepath.Join(dir, wordName)); err == nil && time.Since(word.ModTime()) > wordsLast {
			_ = bind.RemoveDir(dir) // the next session tries again
		}
	}
}
