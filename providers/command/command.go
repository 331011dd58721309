// Package command issues credentials by running a program: any source that has no provider of its own.
//
// The request `command:./mint` runs ./mint; `'command:./mint --team data'` runs it with arguments. Words are separated by spaces, one that has some is put
// into quotes (`'command:"./my tools/mint" --team data'`), and there is no shell. The parameters of the spec are the program's own.
//
// # The protocol, version 1
//
// The program is run once for each action, with the action (issue, renew or revoke) as its last argument, one JSON object on its standard
// input and one expected on its standard output. A member of an object that is not listed here is to be ignored, and a question of another version refused: what its members
// mean is not known.
//
//		issue   ← {"version":1, "action":"issue", "id":"wc-r7k2-…", "run":"r7k2", "ttl":300, "parameters":{"scope":"read"}}
//		        → {"version":1, "fields":{"token":"…", "user":{"value":"ci", "secret":false}},
//		           "lease":{"any":"JSON"}, "ttl":300, "max_ttl":3600, "renewable":true, "revocable":true, "warnings":["…"]}
//		renew   ← {"version":1, "action":"renew", "id":"wc-r7k2-…", "run":"r7k2", "ttl":300, "lease":{"any":"JSON"}}
//		        → {"version":1, "ttl":300, "renewable":true}
//		revoke  ← {"version":1, "action":"revoke", "id":"wc-r7k2-…", "run":"r7k2", "lease":{"any":"JSON"}}
//		        → {"version":1, "proof":"proven"}
//
//	  - id names the credential before it exists. A program that has it recorded by whatever it asks (as a name, a label, a comment) can find by it
//	    what an issue that was killed half-way left. revoke comes without a lease then.
//	  - fields: a plain string is secret; what is not is said so. Names without colons or control characters.
//	  - lease: what renew and revoke need beside the id. It is written to a disk, so it must hold no secret; at most 16 KiB. Where a secret field's value is in it,
//	    the credential is not taken, and revoked.
//	  - ttl: in issue and renew, the seconds that are wanted (the leash; left out when there is none) and those that were given (left out when the
//	    credential has no end). max_ttl: the seconds from issue that no renewal passes.
//	  - renewable (false unless said): renew may be called. revocable (true unless said): revoke may be called; with false the credential ends by its
//	    ttl alone, and the receipt says so.
//	  - proof: proven (seen to be gone), accepted (the source promised), expires (it cannot be ended, and ends by itself). To revoke what is
//	    gone, or never was, is proven: revoke is repeated, and may run twice at once.
//	  - {"version":1, "error":"why", "refused":true} in any answer is a failure, also without a version. refused says that asking again will not help; else it is
//	    tried again. So is an exit code other than 0, or an answer that is no JSON.
//
// # What the program is given
//
// It runs in a process group of its own, in the directory with-creds was started in (sweep runs it there, too, where that still is), with an environment of PATH, HOME, the locale,
// proxies and the like, and of what WITH_CREDS_COMMAND_ENV names (NAME,NAME…). A value that the wrapped command must not see is put into
// WITH_CREDS_COMMAND_ENV_<NAME>: the program finds it as NAME. Standard error is for people: when the program has ended, for before
// that it is not known what is secret, it is shown line by line, without the secrets of the answer. After WITH_CREDS_COMMAND_TIMEOUT (30s) it is ended.
//
// Descriptor 3 is a pipe that a program (and what it starts) leaves open while it works: by it the guard of a run that was killed knows that an issue
// is still under way, waits for it, and revokes then.
//
// `with-creds provider check ./mint` tries a program (see Conform).
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// Name is the provider's name in a spec and in a lease.
const Name = "command"

// Provider runs programs. Its zero value is ready.
type Provider struct{}

var _ providers.Provider = Provider{}

// Settings of the environment. Their values reach a wrapped command no more than any WITH_CREDS_* does.
const (
	envVariable     = "WITH_CREDS_COMMAND_ENV"
	timeoutVariable = "WITH_CREDS_COMMAND_TIMEOUT"
	defaultTimeout  = 30 * time.Second
)

// Check judges the command line and the parameters.
func (Provider) Check(r providers.Request) error {
	_, err := parseRequest(r)
	return err
}

// SecretEnv is empty: what the program needs and the command must not see goes by WITH_CREDS_COMMAND_ENV_<NAME>.
func (Provider) SecretEnv() []string { return nil }

// Open reads the settings. Nothing is run.
func (Provider) Open(_ context.Context, s providers.Settings) (providers.Session, error) {
	timeout := defaultTimeout
	if text := s.Get(timeoutVariable); text != "" {
		var err error
		if timeout, err = time.ParseDuration(text); err != nil || timeout <= 0 {
			return nil, providers.Refused(fmt.Errorf("command: %s: %q is not a duration such as 90s", timeoutVariable, text))
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("command: finding the current directory: %w", err)
	}
	env, secrets, err := environment(s)
	if err != nil {
		return nil, providers.Refused(err)
	}
	return newSession(handoff{Dir: dir, Env: env, Secrets: secrets, Timeout: timeout}, s), nil
}

// passedOn are the variables that a program gets where they are set.
var passedOn = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TZ", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"SYSTEMROOT", "COMSPEC", "PATHEXT", "TEMP", "TMP", "USERPROFILE", "APPDATA", "LOCALAPPDATA",
}

// environment is what programs are given, and those values in it that they are given in confidence.
func environment(s providers.Settings) (env, secrets []string, err error) {
	for _, name := range passedOn {
		if v := s.Get(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	for name := range strings.SplitSeq(s.Get(envVariable), ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if strings.ContainsAny(name, "= \t\n") {
			return nil, nil, fmt.Errorf("command: %s lists names, separated by commas, and no values", envVariable)
		}
		if v := s.Get(envVariable + "_" + name); v != "" {
			env, secrets = append(env, name+"="+v), append(secrets, v)
		} else if v := s.Get(name); v != "" {
			env = append(env, name+"="+v)
		} else {
			return nil, nil, fmt.Errorf("command: %s names %s, which is not set (nor is %s_%s)", envVariable, name, envVariable, name)
		}
	}
	return env, secrets, nil
}

// A request is a spec understood.
type request struct {
	argv       []string
	parameters map[string]string
}

// words are separated by spaces; quotes count at the beginning of one. (Compiled when it is needed: every guard would pay for it.)
var words = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`"[^"]*"(\s|$)|'[^']*'(\s|$)|\S+`) })

func parseRequest(r providers.Request) (request, error) {
	var q request
	for _, word := range words().FindAllString(r.Path, -1) {
		word = strings.TrimSpace(word)
		if last := len(word) - 1; last > 0 && (word[0] == '"' || word[0] == '\'') && word[last] == word[0] {
			word = word[1:last]
		}
		q.argv = append(q.argv, word)
	}
	if len(q.argv) == 0 {
		return q, errors.New("command: no program: write command:./mint, or 'command:./mint ARGUMENT…' with quotes")
	}
	if key, twice := r.Twice(); twice {
		return q, fmt.Errorf("command: the parameter %q is given twice", key)
	}
	for _, p := range r.Params {
		if q.parameters == nil {
			q.parameters = map[string]string{}
		}
		q.parameters[p.Key] = p.Value
	}
	return q, nil
}
