// Package github issues access tokens of a GitHub App's installation.
//
//	github:installation?owner=acme&repositories=app,lib&permissions=contents:read,packages:write as=git
//
// What the package promises:
//
//   - Permissions are asked for one by one, and what was granted is said. So are repositories; repositories=* asks for all of the installation's.
//   - The App's private key is read once, at Open, and signs here; or it never leaves Vault, whose transit engine signs
//     (WITH_CREDS_GITHUB_TRANSIT_KEY). A signature is good for nine minutes. The login for that is one of package vault's, by its settings, and the token it
//     gives is told to Intend, renewed, and revoked like a lease; a token that is handed in is used and left alone.
//   - No other process is given the key: what the guard needs is the tokens.
//   - Revoke asks GitHub to end the token and proves it by a 401 for whoever shows it.
//   - GitHub's primary and secondary rate limits are waited for where the time allows, and said where it does not. They are never a refusal, and nothing is asked
//     before they are over.
//   - No answer's size, redirect or type can make it send a token elsewhere or take memory without bound.
//
// # What GitHub does not give
//
// A token has no name before it exists, and can be ended only by showing it. So it is handed to the guard as soon as it is known; one whose
// answer was on its way when the run was killed lives until it ends by itself. It ends after an hour, always: nothing shortens or extends it,
// so the leash has no hold on it. After a power cut `with-creds sweep` can only say when it ends.
//
// # Settings
//
//	WITH_CREDS_GITHUB_APP_ID            the App's ID or client ID
//	WITH_CREDS_GITHUB_PRIVATE_KEY       its private key, PEM (its line ends may be \n); or …_FILE, a file's path
//	WITH_CREDS_GITHUB_TRANSIT_KEY       instead: MOUNT/NAME of an rsa-2048 (or larger) key in Vault's transit engine, with the settings of provider vault
//	GITHUB_API_URL, GITHUB_SERVER_URL   GitHub Enterprise Server's, as Actions sets them; default https://api.github.com and https://github.com
//	HTTPS_PROXY, NO_PROXY               as elsewhere
//
// The owner is GITHUB_REPOSITORY_OWNER where the spec names none, or the only account that has the App installed.
package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/providers/vault"
)

// Name is the provider's name in a spec and in a lease.
const Name = "github"

// Provider issues tokens of a GitHub App. Its zero value is ready.
type Provider struct{}

var _ providers.Provider = Provider{}

// Check judges the parameters: owner, installation, repositories, permissions.
func (Provider) Check(r providers.Request) error {
	_, err := parseRequest(r)
	return err
}

// SecretEnv names what a login to Vault takes, where the transit engine is asked to sign. The App's own key is in WITH_CREDS_*, which no command inherits.
func (Provider) SecretEnv() []string { return vault.Provider{}.SecretEnv() }

// Open reads the App's key and signs with it, so that a wrong one is found before anything is asked for; where Vault has the key, it logs in there. GitHub is not asked yet.
func (Provider) Open(ctx context.Context, s providers.Settings) (providers.Session, error) {
	t, err := resolve(s)
	if err != nil {
		return nil, providers.Refused(fmt.Errorf("github: %w", err))
	}
	session := newSession(t, s)
	if err := session.asApp(); err != nil {
		return nil, providers.Refused(fmt.Errorf("github: %w", err))
	}
	if _, err := session.app.token(ctx); err != nil {
		err = fmt.Errorf("github: signing as the App: %w", err)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, left := session.Close(ctx); left != nil {
			err = fmt.Errorf("%w; and %w", err, left)
		}
		return nil, err
	}
	return session, nil
}

// A request is a spec understood.
type request struct {
	owner        string // "": to be found out
	installation int64  // 0: to be found out
	repositories []string
	owners       []string // as the repositories name them
	all          bool     // repositories
	permissions  map[string]string
}

// maxRepositories is how many one token can be limited to: https://docs.github.com/rest/apps/apps#create-an-installation-access-token-for-an-app
const maxRepositories = 500

func parseRequest(r providers.Request) (request, error) {
	q := request{permissions: map[string]string{}}
	fail := func(format string, args ...any) (request, error) {
		return request{}, fmt.Errorf("github: "+format, args...)
	}
	if r.Path != "installation" {
		return fail("write github:installation?repositories=NAME&permissions=contents:read")
	}
	if key, twice := r.Twice(); twice {
		return fail("the parameter %q is given twice; lists are separated by commas", key)
	}
	for _, p := range r.Params {
		var err error
		switch p.Key {
		case "owner":
			q.owner, err = p.Value, name(p.Value)
		case "installation":
			if q.installation, err = strconv.ParseInt(p.Value, 10, 64); err != nil || q.installation <= 0 {
				err = fmt.Errorf("installation=%s is not a number", p.Value)
			}
		case "repositories":
			err = q.readRepositories(p.Value)
		case "permissions":
			err = q.readPermissions(p.Value)
		default:
			err = fmt.Errorf("unknown parameter %q: there are owner, installation, repositories and permissions", p.Key)
		}
		if err != nil {
			return fail("%w", err)
		}
	}
	for _, owner := range q.owners { // here, for owner= may come after them
		q.owner = cmp.Or(q.owner, owner)
		if !strings.EqualFold(owner, q.owner) {
			return fail("repositories of two owners (%s, %s): one token is of one installation", q.owner, owner)
		}
	}
	switch {
	case len(q.permissions) == 0:
		return fail("say what the token may do: permissions=contents:read,packages:write")
	case !q.all && len(q.repositories) == 0:
		return fail("say for which repositories it is: repositories=app,lib (repositories=* for all that the App is installed on)")
	}
	return q, nil
}

func (q *request) readRepositories(text string) error {
	if text == "*" {
		q.all = true
		return nil
	}
	for repository := range strings.SplitSeq(text, ",") {
		owner, short, qualified := strings.Cut(repository, "/")
		if !qualified {
			short = repository
		} else if err := name(owner); err != nil {
			return err
		} else {
			q.owners = append(q.owners, owner)
		}
		if err := name(short); err != nil {
			return err
		}
		q.repositories = append(q.repositories, short)
	}
	if len(q.repositories) > maxRepositories {
		return fmt.Errorf("a token can be limited to %d repositories, not to %d", maxRepositories, len(q.repositories))
	}
	return nil
}

// readPermissions reads NAME:LEVEL,…; which names and levels there are GitHub decides.
func (q *request) readPermissions(text string) error {
	for pair := range strings.SplitSeq(text, ",") {
		permission, level, _ := strings.Cut(pair, ":")
		if name(permission) != nil || !slices.Contains([]string{"read", "write", "admin"}, level) {
			return fmt.Errorf("permission %q: write NAME:read, NAME:write or NAME:admin, for example contents:read", pair)
		}
		q.permissions[permission] = level
	}
	return nil
}

// name refuses what cannot be one, or would be something else in a path.
func name(text string) error {
	for _, r := range text {
		if r != '-' && r != '_' && r != '.' && (r >= unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r)) {
			return fmt.Errorf("%q cannot be a name on GitHub", text)
		}
	}
	if strings.Trim(text, ".") == "" {
		return errors.New("a name is missing")
	}
	return nil
}

// permissionList is for people: "contents=read, packages=write".
func permissionList(permissions map[string]string) string {
	var list []string
	for _, p := range slices.Sorted(maps.Keys(permissions)) {
		list = append(list, p+"="+permissions[p])
	}
	return strings.Join(list, ", ")
}
