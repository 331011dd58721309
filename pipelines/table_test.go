package pipelines

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the tables of README.md anew")

// tables are those of README.md, as the one in table.go has it.
func tables() string {
	var b strings.Builder
	code := func(text string) string {
		if text == "" {
			return ""
		}
		return "`" + text + "`"
	}
	b.WriteString("| | recognised by | the job's name | its id | its address | told to mask by | files, where there is no RAM | `start` ends after |\n|---|---|---|---|---|---|---|---|\n")
	for _, ci := range Systems() {
		var marks []string
		for _, mark := range ci.Marks {
			name, begins, some := strings.Cut(mark, "=")
			if mark = code(name); some {
				mark += " that begins with " + code(begins)
			}
			marks = append(marks, mark)
		}
		mask, files := "", code(ci.temp)
		if ci.mask != nil {
			mask = code(strings.Replace(ci.mask.line, "%s", "VALUE", 1))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", ci.System, strings.Join(marks, " or "), code(strings.Join(ci.name, "/")), code(strings.Join(ci.id, "/")), code(ci.url), mask, files, code(ci.limit.name))
	}
	b.WriteString("\n| | how a cancelled job ends | `--grace` by default |\n|---|---|---|\n")
	for _, ci := range Systems() {
		var steps []string
		for i, s := range ci.Cancel {
			step := map[syscall.Signal]string{syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM", syscall.SIGKILL: "SIGKILL"}[s.Send]
			if s.After > 0 {
				step += " after " + s.After.String()
			}
			if i == 0 || ci.Cancel[i-1].To != s.To {
				step += " to " + string(s.To)
			}
			steps = append(steps, step)
		}
		if steps == nil {
			steps = []string{"not known: as if the machine were taken away"}
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", ci.System, strings.Join(steps, "; "), (&Job{ci: ci}).Grace(10*time.Second))
	}
	return b.String()
}

func TestReadmeHasTheTable(t *testing.T) {
	const begin, end = "<!-- written by: go test ./pipelines -update -->\n", "<!-- end -->"
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, also := strings.Cut(rest, end)
	if !ok || !also {
		t.Fatalf("README.md has no place between %q and %q", begin, end)
	}
	want := head + begin + tables() + end + tail
	if *update {
		if err := os.WriteFile("README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want {
		t.Errorf("README.md is not what the table comes to: go test ./pipelines -update")
	}
}
