//go:build linux

package main

import (
	"maps"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

// An auditor has Vault's audit log, what Vault tells it of a hash, and the receipts that builds keep.
type auditor struct {
	*harness.VaultServer
	t *testing.T
}

// hash is how the audit log writes a text that is no name (https://developer.hashicorp.com/vault/api-docs/system/audit-hash).
func (a auditor) hash(text string) string {
	a.t.Helper()
	return a.Write("sys/audit-hash/file", map[string]any{"input": text}).Data["hash"].(string)
}

// answers are the log's entries of answers to requests that were made with a token, by its accessor's hash.
func (a auditor) answers(accessor string) []harness.AuditEntry {
	a.t.Helper()
	var all []harness.AuditEntry
	for _, e := range a.Audit() {
		if e.Type == "response" && e.Auth.Accessor == accessor {
			all = append(all, e)
		}
	}
	return all
}

// TestAuditorGetsFromADatabaseUserToTheBuild starts from a name in the database's log, and has no more than Vault's audit log and the build's receipt. Each
// step of the way is one that an auditor takes with the vault command.
func TestAuditorGetsFromADatabaseUserToTheBuild(t *testing.T) {
	_, pg := postgresRow(t)
	v := harness.Vault(t)
	v.EnablePostgres(pg)
	v.EnableAudit()
	issuer := harness.NewIssuer(t, "https://token.actions.githubusercontent.com")
	v.EnableJWT(issuer)
	address := strings.TrimPrefix(v.Addr, "http://")
	look := auditor{v, t}

	for _, row := range []struct {
		what, url string
		ci        map[string]string
		source    func(t *testing.T) *source
		metadata  map[string]string // of the run's token
		display   string            // its name begins so
	}{
		{
			what: "github, jwt", url: "https://github.com/acme/app/actions/runs/17",
			ci: map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/app", "GITHUB_WORKFLOW": "nightly",
				"GITHUB_JOB": "dump", "GITHUB_RUN_ID": "17", "GITHUB_RUN_ATTEMPT": "1"},
			source: func(t *testing.T) *source {
				s := vaultSource(t, v, pg, ownLogin(true), address, order{n: 1})
				// GitHub has signed these claims; the role says which get into the token's metadata.
				v.JWTRole("ci", map[string]any{"bound_audiences": "vault", "token_policies": policyOf(s), "claim_mappings": map[string]string{"repository": "repository", "run_id": "run_id"}})
				runner := harness.NewGitHubRunner(t, issuer, map[string]any{"sub": "repo:acme/app:ref:refs/heads/main", "repository": "acme/app", "run_id": "17"})
				s.env = maps.Clone(runner.Env)
				maps.Copy(s.env, map[string]string{"VAULT_ADDR": v.Addr, "WITH_CREDS_VAULT_AUTH": "jwt", "WITH_CREDS_VAULT_ROLE": "ci", "WITH_CREDS_VAULT_AUDIENCE": "vault"})
				s.logins = nil
				return s
			},
			metadata: map[string]string{"repository": "acme/app", "run_id": "17"}, display: "jwt-repo:acme/app:",
		},
		{
			what: "jenkins, AppRole", url: "https://ci.acme.example/job/app/8/",
			ci: map[string]string{"JENKINS_URL": "https://ci.acme.example/", "JOB_NAME": "app", "BUILD_NUMBER": "8", "BUILD_TAG": "jenkins-app-8", "BUILD_URL": "https://ci.acme.example/job/app/8/"},
			source: func(t *testing.T) *source {
				s := vaultSource(t, v, pg, ownLogin(true), address, order{n: 1})
				// Whoever makes the secret id says whom it is for.
				made := v.Write("auth/"+s.env["WITH_CREDS_VAULT_MOUNT"]+"/role/run/secret-id", map[string]any{"metadata": `{"pipeline": "app"}`})
				s.env["WITH_CREDS_VAULT_SECRET_ID"] = made.Data["secret_id"].(string)
				return s
			},
			metadata: map[string]string{"pipeline": "app", "role_name": "run"}, display: "login-",
		},
		{
			what: "gitlab, a child of a token at hand", url: "https://gitlab.com/acme/app/-/jobs/4711",
			ci: map[string]string{"GITLAB_CI": "true", "CI_PROJECT_PATH": "acme/app", "CI_JOB_NAME": "dump", "CI_JOB_ID": "4711", "CI_JOB_URL": "https://gitlab.com/acme/app/-/jobs/4711"},
			source: func(t *testing.T) *source {
				s := vaultSource(t, v, pg, borrowedLogin, address, order{n: 1})
				v.Policy("child", `path "auth/token/create" { capabilities = ["update"] }`)
				s.env["VAULT_TOKEN"], s.env["WITH_CREDS_VAULT_CHILD_TOKEN"] = v.Token("default", "child", policyOf(s)), "true"
				return s
			},
			metadata: map[string]string{"with_creds_ci": "gitlab", "with_creds_job": "acme/app/dump", "with_creds_job_id": "4711", "with_creds_url": "https://gitlab.com/acme/app/-/jobs/4711"},
			display:  "token-with-creds",
		},
	} {
		t.Run(row.what, func(t *testing.T) {
			tr := newTrial(t, row.source(t), nil, "sh", "-c", `printf %s "$USER_0" >user`)
			for name, value := range row.ci {
				tr.cmd.Env = append(tr.cmd.Env, name+"="+value)
			}
			if code := tr.run(); code != 0 {
				t.Fatalf("exit code %d\n%s", code, tr.stderr)
			}
			tr.endedClean()
			user := tr.file("user")

			// 1. The user: the answer in which Vault gave it out, by the hash of its name.
			given, ok := look.AuditOf(look.hash(user))
			if !ok {
				t.Fatalf("the audit log has no answer with the user %s", user)
			}
			// 2. That answer names the build, whatever the login: nothing in Vault needs to be set up for that.
			receipt := tr.receipt()
			agent := strings.Join(given.Request.Headers["user-agent"], " ")
			if want := "run " + receipt.Run + "; " + row.url; !strings.Contains(agent, want) {
				t.Errorf("it was asked by %q, want %q", agent, want)
			}
			if run := strings.Join(given.Request.Headers["x-correlation-id"], " "); run != receipt.Run {
				t.Errorf("its run is %q, want %q", run, receipt.Run)
			}
			// 3. So does the token it was asked with, where Vault or who signed its claims says it.
			if !strings.HasPrefix(given.Auth.DisplayName, row.display) || given.Auth.EntityID == "" && row.display != "token-with-creds" {
				t.Errorf("the token is %q of the entity %q", given.Auth.DisplayName, given.Auth.EntityID)
			}
			for name, want := range row.metadata {
				if got := given.Auth.Metadata[name]; got != want {
					t.Errorf("the token's %s is %q, want %q", name, got, want)
				}
			}
			// 4. The lease and the token's accessor are those of the build's receipt, which names the job too.
			if len(receipt.Credentials) != 1 || len(receipt.Sessions) != 1 {
				t.Fatalf("the receipt has %d credentials and %d logins", len(receipt.Credentials), len(receipt.Sessions))
			}
			credential := receipt.Credentials[0]
			if credential.Username != user || credential.Lease != given.Response.Secret.LeaseID {
				t.Errorf("the receipt has the user %s and the lease %s, and the audit log %s and %s", credential.Username, credential.Lease, user, given.Response.Secret.LeaseID)
			}
			if look.hash(receipt.Sessions[0].Lease) != given.Auth.Accessor {
				t.Error("the receipt's login is not the one that was given the user")
			}
			if ci := receipt.CI; ci == nil || ci.URL != row.url || ci.Job == "" || ci.ID == "" {
				t.Errorf("the receipt's job is %+v", ci)
			}
			// 5. All that was done with the token, to its end.
			did := map[string]bool{}
			for _, e := range look.answers(given.Auth.Accessor) {
				did[e.Request.Path] = true
			}
			for _, want := range []string{"database/creds/" + policyOf(tr.source), "sys/leases/revoke", "auth/token/revoke-self"} {
				if !did[want] {
					t.Errorf("the audit log has no %s of that token: %v", want, did)
				}
			}
		})
	}
}

// policyOf is the name of a source's policy and role.
func policyOf(s *source) string {
	path, _, _ := strings.Cut(s.specs[0], " ")
	return path[strings.LastIndexByte(path, '/')+1:]
}
