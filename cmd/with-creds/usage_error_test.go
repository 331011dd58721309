//go:build linux

package main

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"
)

func TestWhatIsMisspeltOrForgottenIsExplained(t *testing.T) {
	home, secret := t.TempDir(), rand.Text()
	for _, c := range []struct {
		args []string
		want string // beside "with-creds: " and a line's end
	}{
		// The -- is missing.
		{[]string{"pg_dump"}, "put -- before the command: with-creds [flags] -- pg_dump"},
		{[]string{"-c", "vault:x as=postgres", "pg_dump", "-h", "db", "-p", secret}, "put -- before the command: with-creds [flags] -- pg_dump …"},
		{[]string{"run", "-c", "vault:x as=postgres", "pg_dump", "-h"}, "put -- before the command: with-creds [flags] -- pg_dump …"},
		{[]string{"TOKEN=" + secret, "deploy"}, "put -- before the command: with-creds [flags] -- TOKEN=… …"},
		{[]string{"true"}, "put -- before the command: with-creds [flags] -- true"}, // which is near to run
		{[]string{"-c", "vault:x as=postgres"}, "no command: with-creds [flags] -- COMMAND"},
		{[]string{"-c", "vault:x as=postgres", "--"}, "no command after the --"},
		{[]string{"run"}, "no command: with-creds [flags] -- COMMAND"},
		{[]string{"true", "--", "true"}, `"true" stands before the --: flags go there, the command after it`},
		{[]string{"plan", "-c", "vault:x as=postgres", "true"}, `plan takes no argument "true"; a command goes after --`},
		// So are the -c, or quotes.
		{[]string{"vault:x", "as=postgres", "pg_dump", "-h", "db"},
			"vault:x is a spec: write -c before it, and quotes around the whole of it: with-creds -c 'vault:x as=postgres' -- pg_dump …"},
		{[]string{"run", "vault:x as=postgres", "pg_dump"},
			"vault:x as=postgres is a spec: write -c before it, and quotes around the whole of it: with-creds -c 'vault:x as=postgres' -- pg_dump"},
		{[]string{"valt:x?key=" + secret, "TOKEN=" + secret, "--", "deploy", secret},
			"valt:x?… is a spec: write -c before it, and quotes around the whole of it: with-creds -c 'valt:x?… TOKEN=…' -- deploy …"},
		{[]string{"-c", "vault:x", "as=postgres", "--", "pg_dump"},
			"as=postgres belongs to the spec before it: write quotes around the whole of it: with-creds -c 'vault:x as=postgres' -- pg_dump"},
		{[]string{"-c", "vault:x?key=" + secret, "A=" + secret, "as=postgres", "deploy", secret},
			"A=… belongs to the spec before it: write quotes around the whole of it: with-creds -c 'vault:x?… A=… as=postgres' -- deploy …"},
		// A flag
		{[]string{"--leesh", "5m", "--", "true"}, `there is no flag --leesh (did you mean "--leash"?); with-creds --help lists them`},
		{[]string{"start", "--formt", "json"}, `there is no flag --formt (did you mean "--format"?); with-creds start --help lists them`},
		{[]string{"lease", "revoke", "x", "--prefx"}, `there is no flag --prefx (did you mean "--prefix"?); with-creds lease revoke --help lists them`},
		{[]string{"--receipt"}, "--receipt needs a value after it; with-creds --help lists the flags"},
		{[]string{"plan", "-c"}, "-c needs a value after it; with-creds plan --help lists the flags"},
		{[]string{"--quiet=maybe"}, `--quiet: "maybe" is not true or false; with-creds --help lists the flags`},
		{[]string{"version", "x"}, `version takes no argument "x"`},
		// A variable of the CI's that is not set
		{[]string{"-c", "vault:x as=postgres", "-c", "", "--", "true"}, "-c (--credential): one of several is empty, so something would be missing: is a variable not set that it is made of?"},
		{[]string{"version", "--jsn"}, `there is no flag --jsn (did you mean "--json"?); with-creds version --help lists them`},
		{[]string{"--version"}, "there is no flag --version: with-creds version prints it"},
		{[]string{"-x"}, "there is no flag -x; with-creds --help lists them"},
		{[]string{"-c"}, "-c needs a value after it; with-creds --help lists the flags"},
		{[]string{"--quiet=maybe", "--", "true"}, `--quiet: "maybe" is not true or false; with-creds --help lists the flags`},
		{[]string{"sweep", "--past", "soon"}, `--past: "soon" is not a duration such as 90s, 5m or 1h; with-creds sweep --help lists the flags`},
		{[]string{"–c", "vault:x as=postgres", "--", "true"}, "– is no dash of a keyboard's, which flags begin with: the line was pasted from a text; type its dashes and quotes anew"},
		{[]string{"—quiet", "--", "true"}, "— is no dash of a keyboard's, which flags begin with: the line was pasted from a text; type its dashes and quotes anew"},
		{[]string{"-c", "‘vault:x", "as=postgres’", "--", "true"}, "‘ is no quote that a shell knows: the line was pasted from a text; type its dashes and quotes anew"},
		{[]string{"--mask=of", "--", "true"}, `--mask (WITH_CREDS_MASK): "of" is not one of on, off`},
		// A command
		{[]string{"doctr"}, `there is no command "doctr" (did you mean "doctor"?); a program of that name goes after --: with-creds [flags] -- doctr`},
		{[]string{"lease", "lst"}, `there is no command lease lst (did you mean "list"?) (there are: list, lookup, renew, revoke)`},
		{[]string{"provider", "chekc"}, `there is no command provider chekc (did you mean "check"?) (there are: check)`},
		{[]string{"completion", "bsh"}, `completion of which shell? There are bash, zsh, fish (did you mean "bash"?)`},
		{[]string{"help", "doctr"}, `there is no command "doctr" (did you mean "doctor"?); with-creds --help lists them`},
		{[]string{"help", "nothing"}, `there is no command "nothing"; with-creds --help lists them`},
		{[]string{"completion", "bash", "fish"}, "completion is for one shell at a time: with-creds completion bash"},
		{[]string{"copy", ""}, "copy takes one directory, to put this program into: with-creds copy /with-creds"},
		{[]string{"copy", "/no/such"}, "copy: there is no directory /no/such: make it first"},
		{[]string{"mariadb:x"}, "mariadb:x is a spec: write -c before it, and quotes around the whole of it: with-creds -c 'mariadb:x' -- COMMAND"},
		// A provider, a preset, a filter
		{[]string{"-c", "valt:x as=postgres", "--", "true"}, `there is no provider "valt" (did you mean "vault"?) (there are: command, github, mysql, postgres, vault)`},
		{[]string{"-c", "mariadb:x", "--", "true"}, `there is no provider "mariadb" (did you mean "mysql"?) (there are: command, github, mysql, postgres, vault)`},
		{[]string{"-c", "postgresql:x", "--", "true"}, `there is no provider "postgresql" (did you mean "postgres"?) (there are: command, github, mysql, postgres, vault)`},
		{[]string{"lease", "list", "valt:x"}, `there is no provider "valt" (did you mean "vault"?) (there are: command, github, mysql, postgres, vault)`},
		{[]string{"presets", "postgre"}, `there is no preset "postgre" (did you mean "postgres"?); with-creds presets lists them`},
		{[]string{"-c", "vault:x as=postgre", "--", "true"}, `vault:x: there is no preset "postgre" (did you mean "postgres"?); there are aws, `},
		{[]string{"-c", "vault:x A={password|ulr}", "--", "true"}, `spec, column 21: A: there is no filter "ulr" (did you mean "url"?); the filters are url, `},
	} {
		o := operate(t, home, nil, c.args...)
		stdout := ""
		if c.args[0] == "start" {
			stdout = "(exit 125)\n" // for eval
		}
		if o.code != failed || o.stdout != stdout || !strings.HasPrefix(o.stderr, "with-creds: "+c.want) || !strings.HasSuffix(c.want, ", ") && o.stderr != "with-creds: "+c.want+"\n" {
			t.Errorf("with-creds %q: exit code %d, stdout %q\n  says   %s  wanted with-creds: %s", c.args, o.code, o.stdout, o.stderr, c.want)
		}
		if strings.Contains(o.stderr, secret) {
			t.Errorf("with-creds %q repeats what may be private: %s", c.args, o.stderr)
		}
	}
}

func TestWhoeverAsksForHelpIsGivenIt(t *testing.T) {
	home := t.TempDir()
	for line, want := range map[string]string{
		"":                         "with-creds [flags] -- COMMAND",
		"help":                     "with-creds [flags] -- COMMAND",
		"help doctor":              "with-creds doctor [flags] [PROVIDER …]",
		"help lease revoke":        "with-creds lease revoke [flags] ID",
		"help provider":            "with-creds provider check",
		"-h":                       "with-creds [flags] -- COMMAND",
		"lease":                    "with-creds lease list|lookup|renew|revoke",
		"lease revoke ID --help":   "with-creds lease revoke [flags] ID",
		"plan -c vault:x true -h":  "with-creds plan [flags]",
		"provider":                 "with-creds provider check",
		"credential git --help":    "with-creds credential git SOCKET",
		"run --leash 5m --help":    "with-creds run [flags] -- COMMAND",
		"start --help":             "with-creds start [flags]",
		"doctor --leash 10m -h":    "with-creds doctor [flags]",
		"sweep postgres -h vault":  "with-creds sweep [flags]",
		"completion --help":        "with-creds completion bash|zsh|fish",
		"lease lookup -h --json x": "with-creds lease lookup [flags] ID",
	} {
		o := operate(t, home, nil, strings.Fields(line)...).want(t, 0, "USAGE:\n   "+want)
		if o.stderr != "" || strings.Contains(o.stdout, "default: false") {
			t.Errorf("with-creds %s: %s\n%s", line, o.stderr, o.stdout)
		}
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, line := range []string{"help", "plan --help"} {
		c := operation(t, home, nil, strings.Fields(line)...)
		c.Stdout = full
		if err := c.Run(); err == nil {
			t.Errorf("with-creds %s could not be written, and exits with 0", line)
		}
	}
}
