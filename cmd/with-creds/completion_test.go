//go:build linux

package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/with-creds/with-creds/testdata/harness"
)

// completed are the candidates for a line, as the scripts get them.
func completed(t *testing.T, line string, env map[string]string) []string {
	t.Helper()
	o := operate(t, t.TempDir(), env, "completion", "words", "--", line).want(t, 0)
	var words []string
	for row := range strings.SplitSeq(strings.TrimSuffix(o.stdout, "\n"), "\n") {
		word, _, _ := strings.Cut(row, "\t")
		words = append(words, word)
	}
	return words
}

func TestCompletionKnowsFlagsCommandsPresetsAndProviders(t *testing.T) {
	for line, want := range map[string]string{
		"with-creds swe":                          "sweep",
		"with-creds --quiet swe":                  "sweep",
		"with-creds --config f swe":               "sweep",
		"/opt/bin/with-creds lease re":            "renew revoke",
		"with-creds lease revoke --pre":           "--prefix",
		"with-creds lease revoke ID --sy":         "--sync",
		"with-creds --revoke-f":                   "--revoke-failure",
		"with-creds --revoke-failure ":            "fail warn",
		"with-creds --revoke-failure=w":           "--revoke-failure=warn",
		"with-creds --receipt ":                   ":files",
		"with-creds start --format ":              "github shell dotenv json session",
		"with-creds start --format=j":             "--format=json",
		"with-creds -c postg":                     "postgres: :nospace",
		"with-creds --credential va":              "vault: :nospace",
		"with-creds -c 'vault:database/creds/x a": "vault:database/creds/x as= :nospace",
		"with-creds -c 'vault:x A=b as=postgres-": "vault:x A=b as=postgres-files",
		`with-creds -c "vault:x as=redi`:          "vault:x as=redis",
		"with-creds -c vault:x as=redi":           "", // that is the command, and -- is missing
		`with-creds -c vault:x\ as=redi`:          "vault:x as=redis",
		"with-creds presets redi":                 "redis",
		"with-creds doctor va":                    "vault",
		"with-creds completion f":                 "fish",
		"with-creds plan -- make --sy":            ":files",
		"with-creds --pass-env VAULT_MAX_R":       "VAULT_MAX_RETRIES",
		"with-creds lease revoke postg":           "postgres: :nospace",
	} {
		if got := completed(t, line, nil); !slices.Equal(got, strings.Split(want, " ")) && strings.Join(got, " ") != want {
			t.Errorf("%s\n  is completed by %q, want %q", line, got, want)
		}
	}
	if got := completed(t, "with-creds -c 'vault:x as=sho", map[string]string{"WITH_CREDS_PRESET_SHOP": "SHOP_KEY=password"}); !slices.Equal(got, []string{"vault:x as=shop"}) {
		t.Errorf("one's own preset: %q", got)
	}
	home := t.TempDir()
	operate(t, home, nil, "completion").want(t, 125, "bash, zsh, fish")
	operate(t, home, nil, "completion", "zhs").want(t, 125, "did you mean")
	operate(t, home, nil, "completion", "words").want(t, 125)
}

// keystrokes are what a person types, with tabs, and the arguments that come of it.
var keystrokes = map[string][]string{
	"with-creds swe\t":                             {"sweep"},
	"with-creds lease rev\t--pre\t":                {"lease", "revoke", "--prefix"},
	"with-creds -c postgr\treadonly":               {"-c", "postgres:readonly"},
	"with-creds -c 'vault:x as=postgres-f\t":       {"-c", "vault:x as=postgres-files"},
	"with-creds --mask=of\t":                       {"--mask=off"},
	"with-creds lease revoke postgr\trole --syn\t": {"lease", "revoke", "postgres:role", "--sync"},
}

// typing types the keys into an interactive shell, after what sets it up, and returns the arguments that the line has then.
func typing(t *testing.T, shell *exec.Cmd, setup, keys string, want []string) {
	t.Helper()
	shell.Env = append(shell.Environ(), "TERM=dumb", "PS1=ready> ", "HISTFILE=/dev/null")
	terminal, err := pty.StartWithSize(shell, &pty.Winsize{Rows: 40, Cols: 400})
	if err != nil {
		t.Fatal(err)
	}
	screen := &harness.Transcript{}
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := terminal.Read(buffer)
			_, _ = screen.Write(buffer[:n])
			if err != nil {
				return
			}
		}
	}()
	defer func() {
		terminal.Close()
		_ = shell.Process.Kill()
		_ = shell.Wait()
	}()
	see := func(text string) {
		t.Helper()
		if !within(time.Minute, func() error {
			if !strings.Contains(screen.String(), text) {
				return fmt.Errorf("not yet")
			}
			return nil
		}) {
			t.Fatalf("%q: the screen does not show %q:\n%s", keys, text, screen)
		}
	}
	say := func(text string) {
		if _, err := terminal.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	say(setup + "; echo set''up\n")
	see("setup\r\n")
	// What was typed is printed, one argument after the other, instead of run.
	say(keys + "\x01printf '[%s]' \n")
	see("[with-creds][" + strings.Join(want, "][") + "]")
}

func TestCompletionInBash(t *testing.T) {
	for keys, want := range keystrokes {
		typing(t, exec.Command("bash", "--norc", "--noprofile", "-i"), "source <(with-creds completion bash)", keys, want)
	}
}

func TestCompletionInZsh(t *testing.T) {
	if _, err := exec.LookPath("zsh"); err != nil {
		harness.Missing(t, "zsh")
	}
	for keys, want := range keystrokes {
		typing(t, exec.Command("zsh", "-f", "-i"), "bindkey -e; autoload -Uz compinit; compinit -u -D; source <(with-creds completion zsh)", keys, want)
	}
}

func TestCompletionInFish(t *testing.T) {
	if _, err := exec.LookPath("fish"); err != nil {
		harness.Missing(t, "fish")
	}
	for line, want := range map[string]string{
		"with-creds lease rev":                     "revoke",
		"with-creds -c 'vault:x as=postgres-f":     "vault:x as=postgres-files",
		"with-creds --mask=of":                     "--mask=off",
		"with-creds -c postg":                      "postgres:",
		"with-creds sweep -- with-creds lease rev": "revoke",
	} {
		c := exec.Command("fish", "--no-config", "-c", "with-creds completion fish | source; complete -C $argv[1]", line)
		c.Env = append(c.Environ(), "HOME="+t.TempDir())
		out, err := c.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), want+"\t") && !strings.HasPrefix(string(out), want+"\n") {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
}
