//go:build linux

// Package examples_test runs what the documentation tells people to type, and checks what it says of the binary.
package examples_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
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

// GitHub takes what follows an HTML line for HTML, up to an empty line; a fold that is left open hides the rest of the page.
func TestWhatIsFoldedAwayIsRendered(t *testing.T) {
	for _, document := range documents {
		lines, opened := strings.Split(read(t, document), "\n"), 0
		for i, line := range lines {
			switch {
			case strings.HasPrefix(line, "<details>"):
				opened++
				if !regexp.MustCompile(`^<details><summary>.+</summary>$`).MatchString(line) || lines[i+1] != "" {
					t.Errorf("%s:%d: a fold begins with <details><summary>…</summary> and an empty line", document, i+1)
				}
			case line == "</details>":
				opened--
				if lines[i-1] != "" || lines[i+1] != "" {
					t.Errorf("%s:%d: a fold ends between empty lines", document, i+1)
				}
			}
			if opened < 0 || opened > 1 {
				t.Fatalf("%s:%d: %d folds are open", document, i+1, opened)
			}
		}
		if opened != 0 {
			t.Errorf("%s: a fold is left open", document)
		}
	}
}

func TestEveryLinkWithinTheRepositoryLeadsSomewhere(t *testing.T) {
	found := 0
	for _, document := range documents {
		for _, link := range regexp.MustCompile(`\]\(([^):]+)\)`).FindAllStringSubmatch(read(t, document), -1) {
			found++
			if _, err := os.Stat(filepath.Join(root, link[1])); err != nil {
				t.Errorf("%s links to %s: %v", document, link[1], err)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d links were found in the documents", found)
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
