//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/testdata/harness"
)

// An exampleTrial is what it takes to run the examples in a command's help: those that are not here need nothing, and say nothing in particular.
type exampleTrial struct {
	before, after string // of the same shell
	shows         string // a pattern
}

var proven = `revoked 1 credential: 1 proven`

const startSession = `eval "$(with-creds start --watch none -c 'vault:database/creds/readonly as=postgres')"; `

var exampleTrials = map[string]exampleTrial{
	"with-creds":                {shows: proven},
	"with-creds plan":           {shows: "PGPASSWORD +password"},
	"with-creds doctor":         {shows: "(?m)^vault"},
	"with-creds presets":        {shows: "PGPASSWORD|SHOP_KEY"},
	"with-creds lease":          {shows: "database/creds/readonly"},
	"with-creds lease list":     {shows: "database/creds/readonly/"},
	"with-creds lease lookup":   {shows: "database/creds/readonly/"},
	"with-creds lease renew":    {shows: "database/creds/readonly/"},
	"with-creds lease revoke":   {shows: "database/creds/readonly"},
	"with-creds run":            {before: startSession, after: "; with-creds stop", shows: proven},
	"with-creds start":          {shows: proven},
	"with-creds stop":           {before: startSession, shows: `"proof": "proven"`},
	"with-creds sweep":          {shows: "nothing"},
	"with-creds mask":           {shows: `(?m)^deploying with \*\*\*, then \*\*\*$`},
	"with-creds copy":           {after: "; echo; copied/with-creds version", shows: "(?m)^with-creds "},
	"with-creds completion":     {shows: "with-creds|sweep"},
	"with-creds provider":       {shows: "  ok  "},
	"with-creds provider check": {shows: "  ok  "},
	"with-creds credential":     {shows: "refs/heads/main"},
	"with-creds credential git": {after: "; git -C app log --format=%s", shows: "first"},
	"with-creds version":        {shows: `"version":`},
}

// completionIn is how each shell of the examples is started, and what proves that it completes now.
var completionIn = map[string]struct {
	shell         []string
	before, after string
}{
	"bash": {[]string{"bash", "--norc", "--noprofile", "-euc"}, "", "\ncomplete -p with-creds"},
	"zsh":  {[]string{"zsh", "-fc"}, "autoload -Uz compinit; compinit -u -D\n", "\necho with-creds: $_comps[with-creds]"},
	"fish": {[]string{"fish", "--no-config", "-c"}, "", "\ncomplete -C 'with-creds swee'"},
}

func TestEveryExampleOfTheHelpRuns(t *testing.T) {
	pg, vault := harness.Postgres(t), harness.Vault(t)
	vault.EnablePostgres(pg)
	tokens, gh := harness.Tokens(t), harness.GitHub(t)
	account := tokens.Account()
	gh.Repository("acme", "app")
	home := t.TempDir()
	env := map[string]string{
		"VAULT_ADDR": vault.Addr, "VAULT_TOKEN": vault.Client.Token(), "PGPORT": strconv.Itoa(pg.Port), "WITH_CREDS_POSTGRES_URL": pg.AdminURL("postgres"),
		"XDG_RUNTIME_DIR": runtimeDir(t), "LC_ALL": "C.UTF-8", "TERM": "dumb", "DEPLOY_KEY": rand.Text(),
		"WITH_CREDS_COMMAND_ENV": "TOKENS_URL,TOKENS_KEY", "TOKENS_URL": tokens.URL, "WITH_CREDS_COMMAND_ENV_TOKENS_KEY": account.APIKey,
	}
	maps.Copy(env, githubSource(gh).env)
	for _, nv := range harness.GitEnv(t) {
		if name, value, _ := strings.Cut(nv, "="); name != "PATH" && name != "HOME" {
			env[name] = value
		}
	}
	mint, err := os.ReadFile("../../examples/command/mint.sh")
	if err != nil {
		t.Fatal(err)
	}
	token := rand.Text()
	for name, text := range map[string]string{
		"mint.sh": string(mint), "token.txt": token + "\n", "Makefile": "deploy:\n\t@echo \"deploying with $$(cat token.txt), then $(DEPLOY_KEY)\"\n",
	} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(home, "copied"), 0o700); err != nil {
		t.Fatal(err)
	}

	// What is not as written: where the servers are, and the lease of the example.
	run := func(t *testing.T, name, line string) {
		t.Helper()
		eventuallyEmpty(t, "journals of the example before", func() []string { return journals(home) })
		lease := ""
		if strings.HasPrefix(name, "with-creds lease") {
			lease = vault.LeaseOf(vault.Client.Token(), "database/creds/readonly").LeaseID
		}
		trial := exampleTrials[name]
		shell := []string{"bash", "-euo", "pipefail", "-c"}
		if name == "with-creds completion" {
			for called, in := range completionIn {
				if !strings.Contains(line, "completion "+called) {
					continue
				}
				if _, err := exec.LookPath(called); err != nil {
					harness.Missing(t, "%s", called)
				}
				shell, trial.before, trial.after = in.shell, in.before, in.after
			}
		}
		script := trial.before + strings.NewReplacer("-h db ", "-h "+pg.Host+" ", "database/creds/readonly/ojyZ…", lease, "https://github.com", gh.URL,
			"copy /with-creds", "copy copied").Replace(line) + trial.after
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		c := exec.CommandContext(ctx, shell[0], append(shell[1:], script)...)
		c.Dir, c.Env = home, operation(t, home, env).Env
		var said bytes.Buffer
		c.Stdout, c.Stderr = &said, &said
		if err := c.Run(); err != nil {
			t.Fatalf("%s\n%v\n%s", script, err, &said)
		}
		if !regexp.MustCompile(cmp.Or(trial.shows, ".")).Match(said.Bytes()) {
			t.Errorf("%s\ndoes not show %q:\n%s", script, trial.shows, &said)
		}
		for _, secret := range []string{token, env["DEPLOY_KEY"]} {
			if strings.Contains(said.String(), secret) {
				t.Errorf("%s\nshows a secret", script)
			}
		}
		if lease != "" {
			revokes := strings.Contains(line, " revoke ")
			if revokes {
				eventuallyEmpty(t, line, func() []string { return vault.Leases("database/creds") })
			} else if left := vault.Leases("database/creds"); !slices.Contains(left, lease) {
				t.Errorf("%s\nrevoked the lease: %q are left", line, left)
			}
			vault.Write("sys/leases/revoke-prefix/database/creds", nil)
		}
	}

	app := (&world{}).app()
	check := func(name string, c *cli.Command) {
		t.Run(name, func(t *testing.T) {
			calls, examples, _ := helpParts(c)
			if !strings.Contains(calls[0], name) {
				t.Errorf("the help does not begin with how %s is called, but with %q", name, calls[0])
			}
			if len(examples) == 0 {
				t.Error("the help has no example")
			}
			for _, line := range examples {
				if !strings.Contains(line, "with-creds") {
					t.Errorf("%q is no example", line)
				}
				run(t, name, line)
			}
		})
	}
	check(app.Name, &cli.Command{UsageText: app.UsageText})
	eachCommand(app.Name, app.Commands, check)
	eventuallyEmpty(t, "leases", func() []string { return vault.Leases("database/creds") })
	eventuallyEmpty(t, "roles", func() []string { return append(pg.Roles("v-"), pg.Roles("wc_")...) })
	eventuallyEmpty(t, "tokens", func() []string { return append(account.Live(), gh.Live()...) })
	eventuallyEmpty(t, "journals", func() []string { return journals(home) })
}
