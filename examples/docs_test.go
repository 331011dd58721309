//go:build linux

// Package examples_test runs what the documentation tells people to type, and checks what it says of the binary.
package examples_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

const root = ".."

// documents are the pages whose every ```sh block is run.
var documents = []string{"README.md", "CONTRIBUTING.md", "SECURITY.md"}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A block is fenced text of a document.
type block struct {
	language, text string
	line           int
}

func blocks(text string) []block {
	var all []block
	var open *block
	for i, line := range strings.Split(text, "\n") {
		language, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{language: language, line: i + 1}
		case fence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	return all
}

// first is the first block in a language, which the document must have.
func first(t *testing.T, all []block, language string) string {
	t.Helper()
	i := slices.IndexFunc(all, func(b block) bool { return b.language == language })
	if i < 0 {
		t.Fatalf("the document has no block of %s", language)
	}
	return all[i].text
}

// build makes the binary and returns its directory.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	c := exec.Command("go", "build", "-o", dir, "./cmd/with-creds")
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("building with-creds: %v\n%s", err, out)
	}
	return dir
}

// binary runs with-creds in an empty environment and returns its standard output.
func binary(t *testing.T, dir string, args ...string) string {
	t.Helper()
	c := exec.Command(filepath.Join(dir, "with-creds"), args...)
	var stderr bytes.Buffer
	c.Env, c.Dir, c.Stderr = []string{"PATH=" + os.Getenv("PATH")}, t.TempDir(), &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("with-creds %q: %v\n%s", args, err, stderr.String())
	}
	return string(out)
}

func TestEveryCommandOfTheDocumentsRuns(t *testing.T) {
	readme := blocks(read(t, "README.md"))
	pg, vault := harness.Postgres(t), harness.Vault(t)
	vault.EnablePostgres(pg)
	vault.Mount("kv", "kv-v2")
	vault.Write("kv/data/app", map[string]any{"data": map[string]any{"token": rand.Text()}})
	// What the README says must be there is made by what it says, the least policy included.
	pg.Exec("postgres", "create database shop")
	pg.Exec("shop", "create table orders (id int); insert into orders select generate_series(1, 10)")
	pg.Exec("shop", first(t, readme, "sql"))
	admin := rand.Text()
	pg.Exec("shop", fmt.Sprintf("alter role ci_admin password '%s'", admin))
	vault.Policy("readme", first(t, readme, "hcl"))
	vault.Policy("kv", `path "kv/data/app" { capabilities = ["read"] }`)
	roleID, secretID := vault.AppRole("readme", map[string]any{"token_policies": "readme,kv"})

	home, bin := t.TempDir(), build(t)
	if err := os.WriteFile(filepath.Join(home, "report.py"), []byte(read(t, "examples/python/report.py")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "secret-id"), []byte(secretID), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"PATH=" + bin + ":" + python(t) + ":" + os.Getenv("PATH"), "HOME=" + home, "LC_ALL=C", "ROLE_ID=" + roleID,
		"VAULT_ADDR=" + vault.Addr, "VAULT_TOKEN=" + vault.Token("readme", "kv"), "PGPORT=" + strconv.Itoa(pg.Port),
		"WITH_CREDS_POSTGRES_URL=" + pg.URL("ci_admin", admin, "shop"),
	}
	// A GitHub App and a service that sells tokens.
	gh, tokens := harness.GitHub(t), harness.Tokens(t)
	account := tokens.Account()
	gh.Repository("acme", "app")
	mint, err := os.ReadFile(filepath.Join(root, "examples/command/mint.sh"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "mint.sh"), mint, 0o700); err != nil {
		t.Fatal(err)
	}
	env = append(env, "GITHUB_API_URL="+gh.API(), "GITHUB_SERVER_URL="+gh.URL, "WITH_CREDS_GITHUB_APP_ID="+gh.AppID, "WITH_CREDS_GITHUB_PRIVATE_KEY="+gh.Key,
		"TOKENS_URL="+tokens.URL, "WITH_CREDS_COMMAND_ENV=TOKENS_URL,TOKENS_KEY", "WITH_CREDS_COMMAND_ENV_TOKENS_KEY="+account.APIKey)

	// What is not as written: where the servers are.
	place := strings.NewReplacer("-h db ", "-h "+pg.Host+" ", "PGHOST=db ", "PGHOST="+pg.Host+" ", "https://github.com/", gh.URL+"/")

	ran := 0
	for _, document := range documents {
		all := blocks(read(t, document))
		for i, b := range all {
			if b.language != "sh" {
				continue
			}
			ran++
			t.Run(fmt.Sprintf("%s:%d", document, b.line), func(t *testing.T) {
				c := exec.Command("bash", "-euo", "pipefail", "-c", place.Replace(b.text))
				var stderr bytes.Buffer
				c.Dir, c.Env, c.Stderr = home, env, &stderr
				out, err := c.Output()
				if err != nil {
					t.Fatalf("%s%v\n%s%s", b.text, err, out, stderr.String())
				}
				if i+1 < len(all) && all[i+1].language == "text" {
					if want := all[i+1].text; string(out) != want {
						t.Errorf("%sprints\n%sand is shown to print\n%s", b.text, out, want)
					}
				} else if !regexp.MustCompile(`(?m)^with-creds: revoked .* proven`).Match(stderr.Bytes()) {
					t.Errorf("%sproves no revocation:\n%s", b.text, stderr.String())
				}
				if roles := append(pg.Roles("wc_"), pg.Roles("v-")...); len(roles) != 0 {
					t.Errorf("roles are left: %q", roles)
				}
				if left := append(gh.Live(), account.Live()...); len(left) != 0 {
					t.Errorf("tokens are left: %q", left)
				}
				if leases := vault.Leases("database/creds"); len(leases) != 0 {
					t.Errorf("leases are left: %q", leases)
				}
			})
		}
	}
	if ran < 6 {
		t.Errorf("only %d commands were found in the documents", ran)
	}
}

// What other tests run is what is shown: such a block is a run of lines of the file that the paragraph before it links to first, less their indentation.
func TestReadmeShowsTheFilesThatTestsRun(t *testing.T) {
	readme := read(t, "README.md")
	lines := strings.Split(readme, "\n")
	shown := map[string]bool{}
	for _, b := range blocks(readme) {
		if !slices.Contains([]string{"yaml", "groovy", "python"}, b.language) {
			continue
		}
		links := regexp.MustCompile(`\]\(((?:examples|pipelines)/[^)]*\.[a-z]+|examples/jenkins/Jenkinsfile)\)`).FindAllStringSubmatch(paragraph(lines[:b.line-1]), -1)
		if len(links) == 0 {
			t.Errorf("README.md:%d: the text before links to no file", b.line)
			continue
		}
		file := links[0][1]
		shown[file] = true
		if !hasLines(strings.Split(read(t, file), "\n"), strings.Split(strings.TrimSuffix(b.text, "\n"), "\n")) {
			t.Errorf("README.md:%d: this is not in %s:\n%s", b.line, file, b.text)
		}
	}
	for _, file := range []string{"examples/github/backup.yml", "examples/jenkins/Jenkinsfile", "examples/gitlab/.gitlab-ci.yml", "pipelines/kubernetes/cronjob.yaml", "examples/python/report.py"} {
		if !shown[file] {
			t.Errorf("the README does not show %s", file)
		}
	}
}

// paragraph is the last one of the lines.
func paragraph(lines []string) string {
	text := strings.TrimSpace(strings.Join(lines, "\n"))
	return text[strings.LastIndex(text, "\n\n")+1:]
}

// hasLines reports whether the part is a run of the lines, of which each is indented by as much.
func hasLines(lines, part []string) bool {
	for i := range len(lines) - len(part) + 1 {
		indent, same := strings.CutSuffix(lines[i], part[0])
		for j := 0; same && j < len(part); j++ {
			same = lines[i+j] == indent+part[j] || lines[i+j] == "" && part[j] == ""
		}
		if same && strings.TrimSpace(indent) == "" {
			return true
		}
	}
	return false
}

func TestEverySpecOfTheReadmeIsUnderstood(t *testing.T) {
	bin := build(t)
	rows := table(t, read(t, "README.md"), "| spec |")
	for _, row := range rows {
		spec := strings.Trim(row[0], "`")
		plan := binary(t, bin, "plan", "-c", spec)
		// What the row names as a variable must be in the plan, or begin with what the plan knows of the names.
		for _, name := range regexp.MustCompile("`([A-Z][A-Z_]+)`").FindAllStringSubmatch(row[1], -1) {
			prefix, _, _ := strings.Cut(name[1], "_")
			if !strings.Contains(plan, name[1]) && !strings.Contains(plan, prefix+"_*") {
				t.Errorf("%s: the plan does not have %s:\n%s", spec, name[1], plan)
			}
		}
	}
}

func TestReadmeHasTheFlagsOfTheBinary(t *testing.T) {
	help := binary(t, build(t), "--help")
	want := map[string][2]string{} // by name: what the flag takes, its default
	line := regexp.MustCompile(`(?m)^ +--([a-z-]+)(?: ([^ ,\[]+))?.*?(?:\(default:? ([^)]+)\))?$`)
	for _, m := range line.FindAllStringSubmatch(help, -1) {
		if m[1] == "help" {
			continue
		}
		if m[3] == "false" { // a switch
			m[3] = ""
		}
		want[m[1]] = [2]string{m[2], m[3]}
	}
	if len(want) < 20 {
		t.Fatalf("only %d flags are in the help:\n%s", len(want), help)
	}
	said := regexp.MustCompile("--([a-z-]+)(?: ([^`]+))?`")
	for _, row := range table(t, read(t, "README.md"), "| flag |") {
		m := said.FindStringSubmatch(row[0])
		if m == nil {
			t.Errorf("no flag in the row %q", row)
			continue
		}
		flag, known := want[m[1]]
		delete(want, m[1])
		takes := m[2]
		switch {
		case !known:
			t.Errorf("there is no flag --%s", m[1])
		case takes != flag[0]:
			t.Errorf("--%s takes %q, and the README says %q", m[1], flag[0], takes)
		case flag[1] != "" && row[2] != flag[1]:
			t.Errorf("--%s is %s by default, and the README says %q", m[1], flag[1], row[2])
		case flag[1] == "" && regexp.MustCompile(`^[a-z0-9]+$`).MatchString(row[2]) && m[1] != "vault-auth":
			t.Errorf("--%s has no default, and the README says %q", m[1], row[2])
		}
		variable := "WITH_CREDS_" + strings.ToUpper(strings.ReplaceAll(m[1], "-", "_"))
		if m[1] == "credential" {
			variable = "WITH_CREDS"
		}
		if !strings.HasPrefix(row[1], "`"+variable+"`") {
			t.Errorf("--%s is also %s, and the README says %s", m[1], variable, row[1])
		}
	}
	for name := range want {
		t.Errorf("the README does not have --%s", name)
	}
}

func TestEveryDirectDependencyHasItsReason(t *testing.T) {
	want := map[string]bool{}
	for _, line := range strings.Split(read(t, "go.mod"), "\n") {
		if m := regexp.MustCompile(`^(?:require )?\s*(\S+\.\S+/\S+|\S+\.\S+) v\S+$`).FindStringSubmatch(line); m != nil { // the others end in // indirect
			want[m[1]] = true
		}
	}
	if len(want) < 10 {
		t.Fatalf("only %d direct requirements were found in go.mod", len(want))
	}
	for _, row := range table(t, read(t, "CONTRIBUTING.md"), "| module |") {
		name := strings.Trim(row[0], "`")
		if !want[name] {
			t.Errorf("CONTRIBUTING.md gives a reason for %s, which go.mod does not require directly", name)
		}
		if delete(want, name); row[1] == "" {
			t.Errorf("CONTRIBUTING.md gives no reason for %s", name)
		}
	}
	for name := range want {
		t.Errorf("go.mod requires %s: say why in CONTRIBUTING.md, under Dependencies", name)
	}
}

// A claim that names its test is worth what the test is.
func TestEveryTestThatTheDocumentsNameExists(t *testing.T) {
	c := exec.Command("git", "grep", "-hoE", `^func Test[A-Z]\w*`, "--", "*_test.go")
	c.Dir = root
	out, err := c.Output()
	if err != nil {
		t.Fatalf("git grep: %v", err)
	}
	there := strings.Fields(strings.ReplaceAll(string(out), "func ", ""))
	named := 0
	for _, document := range documents {
		for _, name := range regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(read(t, document), -1) {
			named++
			if !slices.Contains(there, name) {
				t.Errorf("%s names %s, and there is no such test", document, name)
			}
		}
	}
	if named < 10 {
		t.Errorf("only %d tests are named in the documents", named)
	}
}

// table is the rows of the Markdown table whose head begins so, cells trimmed.
func table(t *testing.T, text, head string) [][]string {
	t.Helper()
	_, after, ok := strings.Cut(text, "\n"+head)
	if !ok {
		t.Fatalf("there is no table %q", head)
	}
	body, _, _ := strings.Cut(strings.TrimSpace(after), "\n\n")
	var rows [][]string
	for _, line := range strings.Split(body, "\n")[2:] { // after the rest of the head, and the rule
		const escaped = "\x00"
		cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "|"), `\|`, escaped), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(strings.ReplaceAll(cells[i], escaped, "|"))
		}
		rows = append(rows, cells)
	}
	if len(rows) == 0 {
		t.Fatalf("the table %q is empty", head)
	}
	return rows
}
