//go:build linux

package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/testdata/harness"
)

// The page is made of the same tables as the help, here and not in the product, whose size it would add to; packages and archives carry it.
const manPage = "with-creds.1"

var updateManPage = flag.Bool("update", false, "write "+manPage+" anew")

func TestTheManPageSaysWhatTheHelpSays(t *testing.T) {
	want := roffPage((&world{}).app())
	if *updateManPage {
		if err := os.WriteFile(manPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(manPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("it is not what flags and commands come to now: go test ./cmd/with-creds -run ManPage -update")
	}
}

func TestTheManPageIsFormattedWithoutAWarning(t *testing.T) {
	if _, err := exec.LookPath("groff"); err != nil {
		harness.Missing(t, "groff (Debian: apt-get install groff-base)")
	}
	var text bytes.Buffer
	for _, width := range []string{"78", "1000"} { // a terminal's, and one line a paragraph
		text.Reset()
		c := exec.Command("groff", "-man", "-Tascii", "-P-c", "-P-b", "-P-u", "-ww", "-rLL="+width+"n", manPage) // no letter is struck twice
		var warnings bytes.Buffer
		c.Stdout, c.Stderr = &text, &warnings
		if err := c.Run(); err != nil || warnings.Len() > 0 {
			t.Fatalf("groff: %v\n%s", err, &warnings)
		}
	}
	for _, line := range []string{
		"--leash DURATION", "WITH_CREDS_VAULT_SECRET_ID_FILE", "with-creds lease revoke [flags] ID ...",
		"with-creds -c 'vault:database/creds/readonly as=postgres' -- pg_dump -h db app",
	} {
		if !strings.Contains(text.String(), line) {
			t.Errorf("a reader does not see %q in\n%s", line, &text)
		}
	}
}

// helpParts are what a help text has, in this order, with an empty line between: how the command is called, examples of it, and the rest.
func helpParts(c *cli.Command) (calls, examples []string, more string) {
	parts := strings.SplitN(c.UsageText, "\n\n", 3)
	calls = strings.Split(parts[0], "\n")
	if len(parts) > 1 {
		examples = strings.Split(parts[1], "\n")
	}
	if len(parts) > 2 {
		more = parts[2]
	}
	return calls, examples, more
}

// eachCommand calls visit with every command that help shows, and its name as typed.
func eachCommand(name string, commands []*cli.Command, visit func(name string, c *cli.Command)) {
	for _, c := range commands {
		if c.Hidden || c.Name == "help" {
			continue
		}
		visit(name+" "+c.Name, c)
		eachCommand(name+" "+c.Name, c.Subcommands, visit)
	}
}

func roffPage(app *cli.App) string {
	var p page
	p.line(`.\" Written by: go test ./cmd/with-creds -run ManPage -update`)
	p.line(`.TH WITH\-CREDS 1 "" with\-creds "User Commands"`)
	p.line(".nh") // nothing is hyphenated, or adjusted, for most words are to be typed
	p.line(".ad l")
	p.section("NAME")
	p.text(app.Name + " - " + app.Usage)
	calls, examples, _ := helpParts(&cli.Command{UsageText: app.UsageText})
	p.section("SYNOPSIS")
	p.literal(append(calls, "with-creds COMMAND [flags] [argument …]"))
	p.section("DESCRIPTION")
	p.text(`with-creds issues short-lived credentials, hands them to a command as masked environment variables or private files, keeps them alive while ` +
		`it runs, and revokes them when it ends, however it ends. What precedes the first -- is for with-creds; what follows is the command, whatever it is called.`)
	p.text(`A SPEC says what to issue, and how the command receives it:`)
	p.literal([]string{"SOURCE[?parameter=value&…] [as=PRESET] [NAME=field] [NAME='text {field|filter}'] [NAME=@field] …"})
	p.text(`SOURCE is PROVIDER:PLACE, such as vault:database/creds/readonly or postgres:readonly. NAME=field sets a variable, NAME=@field puts the value into a ` +
		`private file and its path into the variable; with-creds presets lists what as= can be, and with-creds plan shows what a spec comes to.`)
	p.section("EXAMPLES")
	p.literal(examples)
	p.section("OPTIONS")
	p.text(`Each is also a variable, in the environment or in the dotenv file; the flag is the stronger, and an empty value counts as not set.`)
	variables := map[string]string{}
	for _, f := range fields() {
		variables[f.flag] = f.env
	}
	p.flags(app.Flags, variables)
	p.section("COMMANDS")
	eachCommand(app.Name, app.Commands, func(name string, c *cli.Command) { p.command(name, c, app.Flags) })
	p.section("EXIT STATUS")
	p.item("the command's own", "it ran, and was not killed; 0 means besides that every credential is proven to be gone")
	p.item("128+n", "signal n killed the command")
	p.item("125", "with-creds failed: nothing was run; or the command succeeded, and revocation is not proven")
	p.item("126, 127", "the command cannot be executed; it was not found")
	p.section("ENVIRONMENT")
	p.text(`Settings that are secrets have no flag, for flags are seen in ps(1). With _FILE at the end the variable names a file that holds the value:`)
	p.literal(withoutFlag)
	p.text(`VAULT_*, PG*, MYSQL_* and GITHUB_* are read as those programs read them, and kept from the command where they are secrets; --pass-env admits one.`)
	p.section("FILES")
	p.item("./.with-creds.env", "settings and specs, read by itself outside CI, when it is yours and nobody else can write it")
	p.item("$XDG_STATE_HOME/with-creds/journal", "(~/.local/state/with-creds/journal) a file a run with the names of its leases, for with-creds sweep; no secrets")
	p.item("$XDG_RUNTIME_DIR, /dev/shm", "private files, in RAM where there is any; removed at the end")
	p.section("SEE ALSO")
	p.text("https://github.com/with-creds/with-creds, its README.md and SECURITY.md: what each promise rests on, and where it ends.")
	return p.String()
}

// A page is one in the language of man(7).
type page struct{ strings.Builder }

func (p *page) line(s string) { p.WriteString(s + "\n") }

// said is text for the page as it is: no character of it is a command of roff's, or is typeset as another one.
func said(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "…", "...").Replace(s)
	var out strings.Builder
	for _, r := range s {
		if r < 0x80 {
			out.WriteRune(r)
		} else {
			fmt.Fprintf(&out, `\[u%04X]`, r)
		}
	}
	if strings.HasPrefix(out.String(), ".") {
		return `\&` + out.String()
	}
	return out.String()
}

func (p *page) section(name string) { p.line(".SH " + name) }

func (p *page) text(s string) {
	p.line(".PP")
	p.line(said(s))
}

// literal lines are as they are typed.
func (p *page) literal(lines []string) {
	p.line(".PP\n.RS 4\n.nf")
	for _, l := range lines {
		p.line(said(l))
	}
	p.line(".fi\n.RE")
}

func (p *page) item(name, about string) {
	p.line(".TP\n\\fB" + said(name) + "\\fR")
	p.line(said(about))
}

func (p *page) flags(all []cli.Flag, variables map[string]string) {
	for _, f := range all {
		documented, ok := f.(cli.DocGenerationFlag)
		if f.Names()[0] == "help" || !ok {
			continue
		}
		about := documented.GetUsage()
		takes := ""
		if _, rest, ok := strings.Cut(about, "`"); ok {
			takes, _, _ = strings.Cut(rest, "`")
		}
		var names []string
		for _, name := range f.Names() {
			dashes := "--"
			if len(name) == 1 {
				dashes = "-"
			}
			names = append(names, strings.TrimSuffix(dashes+name+" "+takes, " "))
		}
		about = strings.ReplaceAll(about, "`", "")
		if past, ok := f.(*cli.DurationFlag); ok && past.Value > 0 {
			about += " (default " + past.Value.String() + ")"
		}
		p.item(strings.Join(names, ", "), about)
		if variable := variables[f.Names()[0]]; variable != "" {
			p.line(".br\n" + said("$"+variable))
		}
	}
}

func (p *page) command(name string, c *cli.Command, ofARun []cli.Flag) {
	p.line(".SS " + said(name))
	p.line(said(c.Usage))
	calls, examples, more := helpParts(c)
	if c.UsageText != "" {
		p.literal(calls)
	}
	if more != "" {
		for _, paragraph := range strings.Split(more, "\n\n") {
			p.text(strings.ReplaceAll(paragraph, "\n", " "))
		}
	}
	var own, shared []cli.Flag
	for _, f := range c.Flags {
		same := func(g cli.Flag) bool { return f.String() == g.String() }
		if slices.ContainsFunc(ofARun, same) {
			shared = append(shared, f)
		} else {
			own = append(own, f)
		}
	}
	p.flags(own, nil)
	switch {
	case len(shared) == len(ofARun):
		p.text("Also the options above.")
	case len(shared) > 0:
		var names []string
		for _, f := range shared {
			names = append(names, "--"+f.Names()[0])
		}
		p.text("Also " + strings.Join(names, ", ") + ", as above.")
	}
	if len(examples) > 0 {
		p.text("For example:")
		p.literal(examples)
	}
}
