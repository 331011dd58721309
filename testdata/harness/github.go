//go:build !windows

package harness

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A GitHubServer stands in for a GitHub Enterprise Server with one App: the part of its REST API that Apps use, as documented
// (https://docs.github.com/rest/apps/apps), and git over HTTP by git's own http-backend. It lets in who shows a token that it gave and
// did not take back, and nobody else.
//
// The App is installed by acme (an organisation, with the repositories app and lib, number 1001) and by bob (a user; 1002), and has the
// permissions contents: write, packages: read and metadata: read.
type GitHubServer struct {
	URL    string // GITHUB_SERVER_URL; the API is at /api/v3
	AppID  string
	Key    string // the App's private key, PEM
	Public *rsa.PublicKey
	Life   time.Duration // of a token; GitHub's is an hour

	// Answer, if set, is asked first for each request of the API, and answers it when it returns true. For faults.
	Answer func(w http.ResponseWriter, r *http.Request) bool

	t     testing.TB
	repos string // directory of bare repositories

	mu       sync.Mutex
	installs []githubInstallation
	tokens   map[string]*githubToken
	log      []string
}

type githubInstallation struct {
	ID           int64
	Login, Kind  string
	Repositories []string
	Life         time.Duration // of its tokens; 0: the server's
}

type githubToken struct {
	install      githubInstallation
	repositories []string
	permissions  map[string]string
	end          time.Time
}

// githubPermissions are the App's.
var githubPermissions = map[string]string{"contents": "write", "packages": "read", "metadata": "read"}

// A GitHubOption changes the server before it starts.
type GitHubOption func(*GitHubServer)

// GitHub starts the server until the test ends. More is installed by accounts named more-0 to more-(n-1) with InstallMore.
func GitHub(t testing.TB, opts ...GitHubOption) *GitHubServer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s := &GitHubServer{
		AppID: "424242", Public: &key.PublicKey, Life: time.Hour, t: t, tokens: map[string]*githubToken{},
		Key: string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		installs: []githubInstallation{
			{1001, "acme", "orgs", []string{"app", "lib"}, 0}, {1002, "bob", "users", []string{"dotfiles"}, 0},
		},
	}
	for _, opt := range opts {
		opt(s)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v3/", s.api)
	mux.HandleFunc("/", s.git)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// InstallMore adds installations.
func InstallMore(n int) GitHubOption {
	return func(s *GitHubServer) {
		for i := range n {
			s.installs = append(s.installs, githubInstallation{int64(2000 + i), fmt.Sprintf("more-%d", i), "orgs", []string{"app"}, 0})
		}
	}
}

// Install adds an organisation of that name with a repository app, whose tokens live that long; 0: as the others.
func (s *GitHubServer) Install(login string, life time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.installs = append(s.installs, githubInstallation{int64(5000 + len(s.installs)), login, "orgs", []string{"app"}, life})
}

func (s *GitHubServer) installed() []githubInstallation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.installs)
}

// InstallOnly leaves one installation.
func InstallOnly(login string) GitHubOption {
	return func(s *GitHubServer) {
		s.installs = slices.DeleteFunc(s.installs, func(i githubInstallation) bool { return i.Login != login })
	}
}

// Address is host:port.
func (s *GitHubServer) Address() string { return strings.TrimPrefix(s.URL, "http://") }

// API is GITHUB_API_URL.
func (s *GitHubServer) API() string { return s.URL + "/api/v3" }

// Live lists the accounts of the tokens that are let in at this moment, one for each token.
func (s *GitHubServer) Live() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := []string{}
	for _, t := range s.tokens {
		if time.Now().Before(t.end) {
			live = append(live, t.install.Login)
		}
	}
	slices.Sort(live)
	return live
}

// Forget takes back what one account's tokens are, and says how many there were.
func (s *GitHubServer) Forget(login string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.tokens)
	maps.DeleteFunc(s.tokens, func(_ string, t *githubToken) bool { return t.install.Login == login })
	return before - len(s.tokens)
}

// Usable reports whether a token is let in.
func (s *GitHubServer) Usable(token string) bool { return s.let(token) != nil }

func (s *GitHubServer) let(token string) *githubToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tokens[token]; t != nil && time.Now().Before(t.end) {
		return t
	}
	return nil
}

// Log is a line for each request, with the answer's status where git asked.
func (s *GitHubServer) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.log, "\n")
}

func (s *GitHubServer) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func githubReply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func githubRefuse(w http.ResponseWriter, status int, message string) {
	githubReply(w, status, map[string]string{"message": message, "documentation_url": "https://docs.github.com/rest"})
}

func (s *GitHubServer) api(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/api/v3")
	s.note("%s %s", r.Method, path)
	if s.Answer != nil && s.Answer(w, r) {
		return
	}
	if r.Header.Get("X-GitHub-Api-Version") != "2022-11-28" || r.Header.Get("User-Agent") == "" {
		githubRefuse(w, http.StatusForbidden, "Request forbidden by administrative rules")
		return
	}
	shown, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if parts[0] == "installation" {
		s.asInstallation(w, r, shown, path)
		return
	}
	if why := s.wrongJWT(shown); why != "" {
		githubRefuse(w, http.StatusUnauthorized, why)
		return
	}
	switch {
	case r.Method == http.MethodGet && path == "/app":
		githubReply(w, http.StatusOK, map[string]any{"id": 424242, "slug": "ci-of-acme", "installations_count": len(s.installed())})
	case r.Method == http.MethodGet && path == "/app/installations":
		s.list(w, r)
	case r.Method == http.MethodGet && len(parts) == 3 && parts[2] == "installation":
		for _, i := range s.installed() {
			if i.Kind == parts[0] && strings.EqualFold(i.Login, parts[1]) {
				githubReply(w, http.StatusOK, i.json())
				return
			}
		}
		githubRefuse(w, http.StatusNotFound, "Not Found")
	case r.Method == http.MethodPost && len(parts) == 4 && parts[1] == "installations" && parts[3] == "access_tokens":
		s.create(w, r, parts[2])
	default:
		githubRefuse(w, http.StatusNotFound, "Not Found")
	}
}

func (i githubInstallation) json() map[string]any {
	return map[string]any{"id": i.ID, "account": map[string]any{"login": i.Login}, "app_id": 424242, "repository_selection": "selected"}
}

// wrongJWT says, in GitHub's words, why it would refuse; empty: it would not.
func (s *GitHubServer) wrongJWT(text string) string {
	const undecodable = "A JSON web token could not be decoded"
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return undecodable
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			return undecodable
		}
	}
	var header struct{ Alg, Typ string }
	var claims struct {
		Iss string
		Iat int64
		Exp int64
	}
	if json.Unmarshal(raw[0], &header) != nil || json.Unmarshal(raw[1], &claims) != nil || header.Alg != "RS256" {
		return undecodable
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(s.Public, crypto.SHA256, digest[:], raw[2]) != nil {
		return undecodable
	}
	now := time.Now().Unix()
	switch {
	case claims.Iss != s.AppID:
		return "'Issuer' claim ('iss') must be an Integer"
	case claims.Iat > now:
		return "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
	case claims.Exp <= now:
		return "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
	case claims.Exp > now+600 || claims.Exp-claims.Iat > 600:
		return "'Expiration time' claim ('exp') is too far in the future"
	}
	return ""
}

// list answers a page at a time, thirty unless asked otherwise, with a Link to the next.
func (s *GitHubServer) list(w http.ResponseWriter, r *http.Request) {
	per, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
	if per <= 0 || per > 100 {
		per = 30
	}
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	page = max(page, 1)
	all := s.installed()
	from := min((page-1)*per, len(all))
	to := min(from+per, len(all))
	some := []map[string]any{}
	for _, i := range all[from:to] {
		some = append(some, i.json())
	}
	if to < len(all) {
		w.Header().Set("Link", fmt.Sprintf(`<%s/app/installations?per_page=%d&page=%d>; rel="next"`, s.API(), per, page+1))
	}
	githubReply(w, http.StatusOK, some)
}

func (s *GitHubServer) create(w http.ResponseWriter, r *http.Request, id string) {
	var install *githubInstallation
	for _, i := range s.installed() {
		if strconv.FormatInt(i.ID, 10) == id {
			install = &i
		}
	}
	if install == nil {
		githubRefuse(w, http.StatusNotFound, "Not Found")
		return
	}
	var asked struct {
		Repositories []string
		Permissions  map[string]string
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		githubRefuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	granted := map[string]string{"metadata": "read"}
	for permission, level := range asked.Permissions {
		has := githubPermissions[permission]
		if has == "" || level == "admin" || level == "write" && has == "read" {
			githubRefuse(w, http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
			return
		}
		granted[permission] = level
	}
	if len(asked.Permissions) == 0 {
		granted = githubPermissions
	}
	repositories := install.Repositories
	if asked.Repositories != nil {
		for _, name := range asked.Repositories {
			if !slices.Contains(install.Repositories, name) {
				githubRefuse(w, http.StatusUnprocessableEntity, "There is at least one repository that does not exist or is not accessible to the parent installation.")
				return
			}
		}
		repositories = asked.Repositories
	}
	token := "ghs_" + rand.Text() + rand.Text()[:10]
	end := time.Now().Add(cmp.Or(install.Life, s.Life))
	s.mu.Lock()
	s.tokens[token] = &githubToken{*install, repositories, granted, end}
	s.mu.Unlock()
	var list []map[string]any
	for _, name := range repositories {
		list = append(list, map[string]any{"name": name, "full_name": install.Login + "/" + name})
	}
	githubReply(w, http.StatusCreated, map[string]any{
		"token": token, "expires_at": end.UTC().Format(time.RFC3339), "permissions": granted, "repository_selection": "selected", "repositories": list,
	})
}

func (s *GitHubServer) asInstallation(w http.ResponseWriter, r *http.Request, shown, path string) {
	token := s.let(shown)
	if token == nil {
		githubRefuse(w, http.StatusUnauthorized, "Bad credentials")
		return
	}
	switch r.Method + " " + path {
	case "DELETE /installation/token":
		s.mu.Lock()
		delete(s.tokens, shown)
		s.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case "GET /installation/repositories":
		githubReply(w, http.StatusOK, map[string]any{"total_count": len(token.repositories), "repositories": []any{}})
	default:
		githubRefuse(w, http.StatusNotFound, "Not Found")
	}
}

// Repository makes OWNER/NAME with one commit, served at URL/OWNER/NAME.git, and returns the directory of the bare repository.
func (s *GitHubServer) Repository(owner, name string) string {
	s.t.Helper()
	if s.repos == "" {
		s.repos = s.t.TempDir()
	}
	bare, work := filepath.Join(s.repos, owner, name+".git"), s.t.TempDir()
	for _, args := range [][]string{
		{"init", "-q", "--bare", "-b", "main", bare}, {"-C", bare, "config", "http.receivepack", "true"}, {"init", "-q", "-b", "main", work},
		{"-C", work, "commit", "-q", "--allow-empty", "-m", "first"}, {"-C", work, "push", "-q", bare, "main"},
	} {
		c := exec.Command("git", args...)
		c.Env = GitEnv(s.t)
		if out, err := c.CombinedOutput(); err != nil {
			s.t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	return bare
}

// GitEnv is an environment in which git reads nobody's configuration.
func GitEnv(t testing.TB) []string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		Missing(t, "git")
	}
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=test", "GIT_AUTHOR_EMAIL=test@example.com",
		"GIT_COMMITTER_NAME=test", "GIT_COMMITTER_EMAIL=test@example.com", "LC_ALL=C",
	}
}

// git serves repositories to who shows a token as the password of x-access-token; to push, one with contents: write.
func (s *GitHubServer) git(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	token := s.let(password)
	parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 3)
	pushes := strings.Contains(r.URL.RawQuery, "git-receive-pack") || strings.HasSuffix(r.URL.Path, "git-receive-pack")
	status := 0
	switch {
	case token == nil || user != "x-access-token":
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		status = http.StatusUnauthorized
	case len(parts) < 3 || !strings.EqualFold(parts[0], token.install.Login) || !slices.Contains(token.repositories, strings.TrimSuffix(parts[1], ".git")):
		status = http.StatusNotFound
	case pushes && token.permissions["contents"] != "write":
		status = http.StatusForbidden
	}
	s.note("git %s %s: %d", r.Method, r.URL.Path, status)
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	backend, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	handler := cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(backend)), "git-http-backend"), Root: "/",
		Env: []string{"GIT_PROJECT_ROOT=" + s.repos, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=" + user, "GIT_CONFIG_NOSYSTEM=1", "HOME=" + s.repos,
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
	handler.ServeHTTP(w, r)
}
