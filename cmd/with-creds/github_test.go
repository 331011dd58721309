//go:build linux

package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/testdata/harness"
)

// githubSource is an App of that GitHub, and specs for it.
func githubSource(gh *harness.GitHubServer, specs ...string) *source {
	return &source{
		specs: specs, left: gh.Live,
		env: map[string]string{
			"GITHUB_API_URL": gh.API(), "GITHUB_SERVER_URL": gh.URL, "GITHUB_REPOSITORY_OWNER": "acme",
			"WITH_CREDS_GITHUB_APP_ID": gh.AppID, "WITH_CREDS_GITHUB_PRIVATE_KEY": gh.Key,
		},
	}
}

const gitSpec = "github:installation?repositories=app&permissions=contents:write as=git"

// gitTrial is a trial whose command is a script of git's, with nobody's configuration.
func gitTrial(t *testing.T, gh *harness.GitHubServer, flags []string, script string) *trial {
	t.Helper()
	tr := newTrial(t, githubSource(gh, gitSpec), flags, "sh", "-ec", script)
	for _, nv := range harness.GitEnv(t) {
		if !strings.HasPrefix(nv, "PATH=") && !strings.HasPrefix(nv, "HOME=") {
			tr.cmd.Env = append(tr.cmd.Env, nv)
		}
	}
	tr.cmd.Env = append(tr.cmd.Env, "URL="+gh.URL)
	return tr
}

func TestGitClonesAndPushesWithATokenItNeverStores(t *testing.T) {
	gh := harness.GitHub(t)
	bare := gh.Repository("acme", "app")
	// A header like the one that actions/checkout leaves, with a token that is not let in, and a helper of the user's that knows a wrong one.
	tr := gitTrial(t, gh, nil, `git clone -q "$URL/acme/app.git" work
cd work; git config http."$URL/".extraHeader "Authorization: basic d3Jvbmc6d3Jvbmc="
git commit -q --allow-empty -m second; git push -q origin main; git ls-remote -q origin >/dev/null`)
	if err := os.WriteFile(tr.path("home/.gitconfig"), []byte("[credential]\n\thelper = \"!echo username=wrong; echo password=wrong; :\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// What the job has configured so, as containers of CIs do, stays.
	tr.cmd.Env = append(tr.cmd.Env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=i18n.commitEncoding", "GIT_CONFIG_VALUE_0=ISO-8859-1")
	if code := tr.run(); code != 0 {
		t.Fatalf("exit code %d; stderr:\n%s\n%s", code, tr.stderr, gh.Log())
	}
	log, err := exec.Command("git", "-c", "safe.directory=*", "-C", bare, "log", "--format=%s %e", "main").Output()
	if err != nil || strings.TrimSpace(string(log)) != "second ISO-8859-1\nfirst" {
		t.Errorf("the repository has %q (%v)", log, err)
	}
	for _, path := range []string{"work/.git/config", "home/.gitconfig"} {
		if text, err := os.ReadFile(tr.path(path)); err != nil || strings.Contains(string(text), "ghs_") {
			t.Errorf("%s holds the token (%v)", path, err)
		}
	}
	if strings.Contains(tr.stderr.String(), "ghs_") || !strings.Contains(tr.stderr.String(), "granted contents=write, metadata=read on app until") {
		t.Errorf("stderr: %s", tr.stderr)
	}
	if v := tr.receipt().Credentials[0].Revocation; v == nil || v.Proof != "proven" {
		t.Errorf("revocation %+v", v)
	}
	tr.endedClean()
}

func TestGitIsGivenTheNewTokenAfterAReplacement(t *testing.T) {
	gh := harness.GitHub(t, func(s *harness.GitHubServer) { s.Life = 8 * time.Second })
	bare := gh.Repository("acme", "app")
	tr := gitTrial(t, gh, nil, `git clone -q "$URL/acme/app.git" work; touch cloned
while ! test -e go; do sleep 0.05; done
cd work; git commit -q --allow-empty -m second; git push -q origin main`)
	tr.start()
	tr.file("cloned")
	asked := func() int { return strings.Count(gh.Log(), "/access_tokens") }
	if !within(60*time.Second, func() error {
		if asked() < 2 || !strings.Contains(gh.Log(), "DELETE /installation/token") {
			return os.ErrNotExist
		}
		return nil
	}) {
		t.Fatalf("the token was not replaced, and the old one ended; stderr:\n%s", tr.stderr)
	}
	if err := os.WriteFile(tr.path("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := tr.wait(); code != 0 {
		t.Fatalf("exit code %d; stderr:\n%s\n%s", code, tr.stderr, gh.Log())
	}
	log, err := exec.Command("git", "-c", "safe.directory=*", "-C", bare, "log", "--format=%s", "main").Output()
	if err != nil || strings.TrimSpace(string(log)) != "second\nfirst" {
		t.Errorf("the repository has %q (%v)", log, err)
	}
	tr.endedClean()
}

func TestATokenForAnotherRepositoryOrForReadingIsNotEnoughToPush(t *testing.T) {
	gh := harness.GitHub(t)
	gh.Repository("acme", "app")
	tr := gitTrial(t, gh, nil, `git clone -q "$URL/acme/app.git" work; cd work; git commit -q --allow-empty -m second; git push -q origin main`)
	tr.cmd.Args[slices.Index(tr.cmd.Args, gitSpec)] = strings.Replace(gitSpec, "write", "read", 1)
	if code := tr.run(); code == 0 || !strings.Contains(tr.stderr.String(), "403") {
		t.Errorf("exit code %d; stderr:\n%s", code, tr.stderr)
	}
	tr.endedClean()
}

func TestAKilledRunsTokenIsEndedByTheGuard(t *testing.T) {
	gh := harness.GitHub(t)
	for _, w := range waysToKill() {
		t.Run(w.name, func(t *testing.T) {
			tr := newTrial(t, githubSource(gh, "github:installation?repositories=app&permissions=contents:read USER_0=username PASSWORD_0=token"), nil, "sh", "-c", stubborn)
			w.begin(tr)
			_, token, _ := strings.Cut(tr.file("login"), "\n")
			if !gh.Usable(token) {
				t.Fatal("the token is not let in while the command runs")
			}
			w.kill(tr)
			tr.cleanedUp(cleanUpLimit)
			if gh.Usable(token) {
				t.Error("the token is let in")
			}
		})
	}
}

func TestNeitherTheAppsKeyNorATokenIsSeenFromOutside(t *testing.T) {
	gh := harness.GitHub(t)
	tr := newTrial(t, githubSource(gh, "github:installation?repositories=app&permissions=contents:read USER_0=username PASSWORD_0=token"), []string{"--verbose"},
		"sh", "-c", `echo "printed: $PASSWORD_0"; env | grep -c PRIVATE >keys; `+untilFinish)
	stdout := &harness.Transcript{}
	tr.cmd.Stdout = stdout
	tr.start()
	_, token, _ := strings.Cut(tr.file("login"), "\n")
	secrets := map[string]string{"the token": token, "the App's key": strings.Split(gh.Key, "\n")[2]}
	for _, path := range journals(tr.path("home")) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		look(t, "the journal", string(text), secrets)
	}
	for _, p := range tr.processes() {
		if p.guard() {
			look(t, "the guard's environment", strings.Join(environOf(p.pid), "\n"), secrets)
		}
	}
	for _, list := range allCommandLines(t) {
		look(t, "ps", list, secrets)
	}
	tr.finish(0)
	if code := tr.wait(); code != 0 {
		t.Errorf("exit code %d; stderr:\n%s", code, tr.stderr)
	}
	if keys := tr.file("keys"); keys != "0" {
		t.Errorf("the command was given %s variables with a private key", keys)
	}
	receipt, err := os.ReadFile(filepath.Join(tr.dir, "receipt.json"))
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"stdout": stdout.String(), "stderr": tr.stderr.String(), "the receipt": string(receipt)} {
		look(t, where, text, secrets)
	}
	tr.endedClean()
}

// TestALoginToVaultForTheAppsSignatureEndsWithTheRun: the App's key is in Vault, and what asks it for signatures is a login of the run's.
func TestALoginToVaultForTheAppsSignatureEndsWithTheRun(t *testing.T) {
	gh, vault := harness.GitHub(t), harness.Vault(t)
	vault.Mount("transit", "transit")
	vault.Write("transit/keys/app", map[string]any{"type": "rsa-2048"})
	gh.Public = vault.TransitKey("app")
	vault.Policy("sign", `path "transit/sign/app/sha2-256" { capabilities = ["update"] }`)
	roleID, secretID := vault.AppRole("ci", map[string]any{"token_policies": "sign", "token_ttl": "20m"})
	s := githubSource(gh, "github:installation?repositories=app&permissions=contents:read USER_0=username PASSWORD_0=token")
	delete(s.env, "WITH_CREDS_GITHUB_PRIVATE_KEY")
	maps.Copy(s.env, map[string]string{
		"WITH_CREDS_GITHUB_TRANSIT_KEY": "transit/app", "VAULT_ADDR": vault.Addr,
		"WITH_CREDS_VAULT_AUTH": "approle", "WITH_CREDS_VAULT_ROLE_ID": roleID, "WITH_CREDS_VAULT_SECRET_ID": secretID,
	})
	logins := func() []string { return vault.Leases("auth/approle/login") }
	run := func(t *testing.T) *trial {
		t.Helper()
		tr := newTrial(t, s, nil, "sh", "-c", untilFinish)
		tr.start()
		tr.file("login")
		if n := len(logins()); n != 1 {
			t.Fatalf("%d logins while the command runs", n)
		}
		return tr
	}
	tr := run(t)
	if !within(time.Minute, func() error { // and it is put on the leash
		for _, accessor := range vault.Accessors() {
			about := vault.Write("auth/token/lookup-accessor", map[string]any{"accessor": accessor}).Data
			if ttl, _ := about["ttl"].(json.Number).Int64(); about["path"] == "auth/approle/login" && ttl <= 300 {
				return nil
			}
		}
		return os.ErrNotExist
	}) {
		t.Error("the login lives for its role's TTL")
	}
	for _, path := range journals(tr.path("home")) {
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "a login to Vault") {
			t.Errorf("the journal does not have the login (%v):\n%s", err, text)
		}
	}
	tr.finish(0)
	if code := tr.wait(); code != 0 {
		t.Errorf("exit code %d; stderr:\n%s", code, tr.stderr)
	}
	tr.endedClean()
	if left := logins(); len(left) > 0 {
		t.Errorf("after the run: %q", left)
	}
	killed := run(t)
	send(killed.pid(), syscall.SIGKILL)
	killed.cleanedUp(cleanUpLimit)
	eventuallyEmpty(t, "logins of a killed run", logins)
}
