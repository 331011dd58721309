//go:build unix

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/step/bind"
)

func TestPresetsShowsTheTableAndOnesOwn(t *testing.T) {
	run := func(args ...string) string {
		t.Helper()
		c := exec.Command(product(t), args...)
		c.Dir, c.Env, c.Stderr = t.TempDir(), []string{"WITH_CREDS_PRESET_SHOP=SHOP_KEY=@key? MODE==x"}, os.Stderr
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	text := run("presets")
	for _, p := range bind.BuiltIns() {
		if !strings.Contains(text, "as="+p.Name+"\n") || !strings.Contains(text, p.Example+"\n") {
			t.Errorf("%s is not shown", p.Name)
		}
	}
	if aws := run("presets", "aws"); strings.Count(aws, "    AWS_SESSION_TOKEN ") != 1 || !strings.Contains(aws, "{session_token}, else {security_token}, else empty\n") {
		t.Errorf("a variable that has several sources is not one line:\n%s", aws)
	}
	if !strings.Contains(text, "as=shop\n") || !strings.Contains(text, "MODE") {
		t.Errorf("one's own is not shown:\n%s", text)
	}
	var some []bind.Preset
	if err := json.Unmarshal([]byte(run("presets", "--json", "shop", "redis")), &some); err != nil {
		t.Fatal(err)
	}
	if len(some) != 2 || some[0].Name != "shop" || some[1].Name != "redis" || some[1].Bindings == "" {
		t.Errorf("got %+v", some)
	}
}
