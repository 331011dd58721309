//go:build linux

package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/step/bind"
)

func TestEveryEngineAndPresetIsInTheReadmeAndPlannedByItsOneLine(t *testing.T) {
	bin, readme := build(t), read(t, "README.md")
	rows := table(t, readme, "| engine |")
	for _, row := range rows {
		spec := strings.Trim(row[1], "`")
		plan := binary(t, bin, "plan", "-c", spec)
		for _, name := range regexp.MustCompile("`([A-Z][A-Z0-9_]+)`").FindAllStringSubmatch(row[2], -1) {
			if !regexp.MustCompile(`\b` + name[1] + `\b`).MatchString(plan) {
				t.Errorf("%s: the plan does not have %s:\n%s", spec, name[1], plan)
			}
		}
		for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(row[2], -1) {
			if info, err := os.Stat(filepath.Join(root, link[1])); err != nil || !info.Mode().IsRegular() {
				t.Errorf("%s: %s is no file: %v", row[0], link[1], err)
			}
		}
	}
	if len(rows) < 30 {
		t.Errorf("only %d engines are in the table", len(rows))
	}
	for _, p := range bind.BuiltIns() {
		if !regexp.MustCompile(`as=` + p.Name + "[`' ]").MatchString(readme) {
			t.Errorf("the README does not show as=%s", p.Name)
		}
		binary(t, bin, "plan", "-c", p.Example)
	}
}
