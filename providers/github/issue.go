package github

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/with-creds/with-creds/providers"
)

// The keys of a lease's Scope.
const (
	scopeAPI     = "api"
	scopeAccount = "account"
	// scopeHash is how GitHub's audit log names a token:
	// https://docs.github.com/organizations/keeping-your-organization-secure/managing-security-settings-for-your-organization/identifying-audit-log-events-performed-by-an-access-token
	scopeHash = "hashed_token"
)

// usual is how long a token lives where GitHub does not say.
const usual = time.Hour

// A grant is GitHub's answer to a request for a token.
type grant struct {
	Token        string            `json:"token"`
	Expires      time.Time         `json:"expires_at"`
	Permissions  map[string]string `json:"permissions"`
	Selection    string            `json:"repository_selection"`
	Repositories []struct {
		Name string `json:"name"`
	} `json:"repositories"`
}

// Issue finds the installation and asks it for a token: two round trips, and one where installation= is given or the installation is known.
func (s *Session) Issue(ctx context.Context, r providers.Request) (providers.Credential, error) {
	q, err := parseRequest(r)
	if err != nil {
		return providers.Credential{}, providers.Refused(err)
	}
	if s.app == nil {
		return providers.Credential{}, providers.Refused(errors.New("github: a session that was handed over can revoke, and issue nothing"))
	}
	q.owner = cmp.Or(q.owner, s.target.Owner)
	if _, err := s.app.token(ctx); err != nil { // here, not under a request's deadline: it may have to log in
		return providers.Credential{}, fmt.Errorf("github: signing as the App: %w", err)
	}
	id, account, err := s.installation(ctx, q)
	if err != nil {
		return providers.Credential{}, fmt.Errorf("github: finding the App's installation%s: %w", of(q.owner), err)
	}
	body := map[string]any{"permissions": q.permissions}
	if !q.all {
		body["repositories"] = q.repositories
	}
	asked := time.Now()
	var g grant
	if _, err := s.do(ctx, s.client, http.MethodPost, "app/installations/"+strconv.FormatInt(id, 10)+"/access_tokens", body, &g); err != nil {
		err = fmt.Errorf("github: asking installation %d%s for %s: %w%s", id, of(account), permissionList(q.permissions), err, s.missing(err))
		if unheard(err) {
			return providers.Credential{}, providers.Unanswered(err) // there may be a token that nobody knows; it ends within the hour
		}
		return providers.Credential{}, err
	}
	if g.Token == "" {
		return providers.Credential{}, errors.New("github: GitHub answered without a token")
	}
	if g.Expires.IsZero() {
		g.Expires = asked.Add(usual)
	}
	hash := sha256.Sum256([]byte(g.Token))
	l := providers.Lease{
		Provider: Name, ID: "ghs-" + cmp.Or(providers.LowerName(s.settings.Run, 20), "run") + "-" + providers.LowerText(16),
		Issued: asked, Expires: g.Expires, MaxExpire: g.Expires,
		Scope: map[string]string{
			scopeAPI: s.target.API, scopeAccount: account, scopeHash: base64.StdEncoding.EncodeToString(hash[:]),
			providers.ScopeRun: s.settings.Run, providers.ScopeGroup: "installation " + strconv.FormatInt(id, 10),
		},
	}
	if err := s.remember(l.ID, g.Token); err != nil {
		return providers.Credential{}, fmt.Errorf("github: %w", err)
	}
	s.settings.Changed()
	s.settings.Sayf("github: installation %d%s granted %s on %s until %s", id, of(account), permissionList(g.Permissions), g.where(),
		g.Expires.Local().Format(time.TimeOnly))
	return providers.Credential{Fields: s.fields(g, account), Lease: l, Warnings: g.judge(q)}, nil
}

func of(owner string) string {
	if owner == "" {
		return ""
	}
	return " of " + owner
}

// missing is what to do about a request that GitHub understood and did not grant.
func (s *Session) missing(err error) string {
	switch status(err) {
	case http.StatusUnprocessableEntity:
		return ": the App must have these permissions, the installation must have accepted them, and it must include the repositories"
	case http.StatusForbidden:
		return ": is the installation suspended?"
	}
	return ""
}

func (g grant) where() string {
	if g.Selection == "all" && len(g.Repositories) == 0 {
		return "all repositories"
	}
	var names []string
	for _, r := range g.Repositories {
		names = append(names, r.Name)
	}
	if len(names) > 5 {
		return fmt.Sprintf("%d repositories", len(names))
	}
	if len(names) == 0 {
		return "the installation's repositories"
	}
	return strings.Join(names, ", ")
}

// judge warns of what is not as it was asked for.
func (g grant) judge(q request) []string {
	var warnings []string
	for permission, level := range q.permissions {
		if g.Permissions[permission] != level {
			warnings = append(warnings, fmt.Sprintf("%s=%s was asked for and %q granted", permission, level, g.Permissions[permission]))
		}
	}
	for permission, level := range g.Permissions {
		if _, asked := q.permissions[permission]; !asked && permission != "metadata" { // which every token has
			warnings = append(warnings, fmt.Sprintf("%s=%s was granted and not asked for", permission, level))
		}
	}
	slices.Sort(warnings)
	return warnings
}

var _ providers.Foreseer = Provider{}

// Fields are those that Session.fields makes.
func (Provider) Fields(providers.Request) (always, sometimes []string) {
	return []string{"token", "username", "password", "url", "host", "api_url", "owner", "repositories", "permissions", "expires_at"}, nil
}

func (s *Session) fields(g grant, account string) []providers.Field {
	host := strings.TrimPrefix(strings.TrimPrefix(s.target.Server, "https://"), "http://")
	var names []string
	for _, r := range g.Repositories {
		names = append(names, r.Name)
	}
	return []providers.Field{
		{Name: "token", Value: g.Token, Secret: true},
		{Name: "username", Value: "x-access-token"}, // https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/authenticating-as-a-github-app-installation
		{Name: "password", Value: g.Token, Secret: true},
		{Name: "url", Value: s.target.Server},
		{Name: "host", Value: host},
		{Name: "api_url", Value: s.target.API},
		{Name: "owner", Value: account},
		{Name: "repositories", Value: strings.Join(names, ",")},
		{Name: "permissions", Value: permissionList(g.Permissions)},
		{Name: "expires_at", Value: g.Expires.UTC().Format(time.RFC3339)},
	}
}

// installation finds the installation for a request, and its account.
func (s *Session) installation(ctx context.Context, q request) (id int64, account string, err error) {
	if q.installation != 0 {
		return q.installation, q.owner, nil
	}
	key := strings.ToLower(q.owner)
	s.mu.Lock()
	id, known := s.installations[key]
	s.mu.Unlock()
	if known && q.owner != "" {
		return id, q.owner, nil
	}
	var found *github.Installation
	if q.owner == "" {
		found, err = s.only(ctx)
	} else {
		found, err = s.ofOwner(ctx, q.owner)
	}
	if err != nil {
		return 0, "", err
	}
	account = cmp.Or(found.GetAccount().GetLogin(), q.owner)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.installations[strings.ToLower(account)] = found.GetID()
	return found.GetID(), account, nil
}

// ofOwner asks for the installation of an organisation, and then of a user: an owner is one or the other.
func (s *Session) ofOwner(ctx context.Context, owner string) (*github.Installation, error) {
	for _, kind := range []string{"orgs", "users"} {
		var found github.Installation
		_, err := s.do(ctx, s.client, http.MethodGet, kind+"/"+url.PathEscape(owner)+"/installation", nil, &found)
		if err == nil {
			return &found, nil
		}
		if status(err) != http.StatusNotFound {
			return nil, err
		}
	}
	return nil, providers.Refused(plain{errors.New("the App is not installed there"), ": install it at " + s.target.Server + "/apps/ADD-THE-APP'S-NAME/installations/new"})
}

// only is the installation of an App that has a single one.
func (s *Session) only(ctx context.Context) (*github.Installation, error) {
	var all []*github.Installation
	for page := 1; page != 0; {
		var some []*github.Installation
		response, err := s.do(ctx, s.client, http.MethodGet, "app/installations?per_page=100&page="+strconv.Itoa(page), nil, &some)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if page = response.NextPage; len(all) > 10000 {
			break
		}
	}
	if len(all) == 1 {
		return all[0], nil
	}
	if len(all) == 0 {
		return nil, providers.Refused(plain{errors.New("the App is installed nowhere"), ": install it at " + s.target.Server + "/apps/ADD-THE-APP'S-NAME/installations/new"})
	}
	var owners []string
	for _, i := range all {
		owners = append(owners, i.GetAccount().GetLogin())
	}
	slices.Sort(owners)
	if len(owners) > 10 {
		owners = append(owners[:10], "…")
	}
	return nil, providers.Refused(plain{fmt.Errorf("it has %d", len(all)), ": name the owner, owner=… (" + strings.Join(owners, ", ") + ")"})
}
