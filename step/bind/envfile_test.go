package bind

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/joho/godotenv"
	"pgregory.net/rapid"

	"github.com/with-creds/with-creds/step/spec"
)

// anyValues draws values rich in what one reader or another treats specially, most of them portable.
func anyValues() *rapid.Generator[[]Value] {
	portable := []rune(`abcXYZ019%+,-./:=@^_~!?*[]{}#é€ß語À`)
	hostile := []rune("'\"\\$`;&|<>() \t\n\r\x01\u00a0\u0085\u2028\ufeff")
	text := rapid.OneOf(
		rapid.StringOf(rapid.RuneFrom(portable)),
		rapid.StringOf(rapid.RuneFrom(append(hostile, portable...))),
		rapid.SampledFrom([]string{"", "#x", "=", "==", "~", "~root", "a:~", "a~", "{a,b}", "*", "[a-z]*", "!!", "!1", "export", "x #", "YWJj==", "-n", "@file", "%h", "{{x}}"}),
		rapid.Map(rapid.SliceOf(rapid.ByteMin(1)), func(b []byte) string { return string(b) }),
	)
	return rapid.Custom(func(t *rapid.T) []Value {
		var values []Value
		for i := range rapid.IntRange(1, 4).Draw(t, "values") {
			name := rapid.SampledFrom([]string{"A", "export", "exportX", "_", "lower", "A9"}).Draw(t, "name")
			values = append(values, Value{Name: fmt.Sprintf("%s_%d", name, i), Value: text.Draw(t, "value"), Secret: true})
		}
		return values
	})
}

// checkReadBack draws values and compares what a reader makes of their file with the values themselves.
func checkReadBack(t *testing.T, reader func(file string) (map[string]string, error)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "env")
	carried := 0
	rapid.Check(t, func(rt *rapid.T) {
		values := anyValues().Draw(rt, "values")
		text, err := EnvFile(values)
		if err != nil {
			return
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			rt.Fatal(err)
		}
		got, err := reader(file)
		if err != nil {
			rt.Fatalf("%q: %v", text, err)
		}
		for _, v := range values {
			if back, ok := got[v.Name]; !ok || back != v.Value {
				rt.Fatalf("%s=%q is read back as %q (%v)", v.Name, v.Value, back, ok)
			}
		}
		carried++
	})
	if !t.Failed() && carried < 10 && !testing.Short() { // rapid makes a fifth of its attempts then
		t.Errorf("only %d files were accepted: nothing is tested", carried)
	}
}

// parseEnv0 reads what `env -0` prints.
func parseEnv0(out string) map[string]string {
	got := map[string]string{}
	for _, entry := range strings.Split(out, "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		got[name] = value
	}
	return got
}

func TestShellsReadTheEnvFileBack(t *testing.T) {
	for _, shell := range []string{"bash", "dash"} {
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		for _, locale := range []string{"C", "C.UTF-8"} {
			t.Run(shell+" "+locale, func(t *testing.T) {
				checkReadBack(t, func(file string) (map[string]string, error) {
					cmd := exec.Command(shell, "-c", `set -a; . "$1"; exec env -0`, shell, file)
					cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=" + locale, "HOME=/expanded"}
					cmd.Dir = "/" // where an unquoted * would find much
					out, err := cmd.Output()
					return parseEnv0(string(out)), err
				})
			})
		}
	}
}

func TestGodotenvReadsTheEnvFileBack(t *testing.T) {
	checkReadBack(t, func(file string) (map[string]string, error) { return godotenv.Read(file) })
}

// systemd's own parser where it is installed, as run by the generator that reads environment.d(5).
func TestSystemdReadsTheEnvFileBack(t *testing.T) {
	const generator = "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator"
	if _, err := os.Stat(generator); err != nil {
		t.Skip("no systemd here:", err)
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("its output is quoted for a shell, and there is no bash:", err)
	}
	checkReadBack(t, func(file string) (map[string]string, error) {
		config := filepath.Join(filepath.Dir(file), "config")
		if err := os.MkdirAll(filepath.Join(config, "environment.d"), 0o700); err != nil {
			return nil, err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(config, "environment.d", "x.conf"), text, 0o600); err != nil {
			return nil, err
		}
		cmd := exec.Command(generator)
		cmd.Env = []string{"XDG_CONFIG_HOME=" + config, "HOME=" + config, "LC_ALL=C.UTF-8", "PATH=" + os.Getenv("PATH")}
		out, err := cmd.Output()
		if err != nil {
			return nil, err
		}
		cmd = exec.Command(bash, "-c", `set -a; eval "$1"; exec env -0`, "bash", string(out))
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
		out, err = cmd.Output()
		got := parseEnv0(string(out))
		for _, line := range strings.Split(string(text), "\n") {
			// In environment.d alone an empty value unsets; EnvironmentFile= keeps it (systemd, src/basic/env-file.c).
			if name, value, _ := strings.Cut(line, "="); value == "" {
				got[name] = ""
			}
		}
		return got, err
	})
}

// The real docker command, talking to a daemon that only writes down what it was asked to create.
func TestDockerReadsTheEnvFileBack(t *testing.T) {
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("no docker command here:", err)
	}
	socket := filepath.Join(t.TempDir(), "d.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan []string, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("API-Version", "1.44") })
	mux.HandleFunc("POST /{version}/containers/create", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Env []string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		asked <- body.Env
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"Id":"x","Warnings":[]}`)
	})
	server := &http.Server{Handler: mux}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	home := t.TempDir()
	checkReadBack(t, func(file string) (map[string]string, error) {
		cmd := exec.Command(docker, "create", "--env-file", file, "image")
		cmd.Env = []string{"DOCKER_HOST=unix://" + socket, "HOME=" + home, "PATH=" + os.Getenv("PATH")}
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		return parseEnv0(strings.Join(<-asked, "\x00")), nil
	})
}

func TestWhatNoEnvFileCanCarryIsRefusedWithoutShowingIt(t *testing.T) {
	for _, value := range []string{"h1dd3n\n", "h1dd3n\r", " h1dd3n", "h1dd3n\t", "'h1dd3n'", `h1dd3n"`, `\h1dd3n`, "$h1dd3n", "`h1dd3n`", "h1dd3n;", "h1dd3n&", "h1dd3n|", "<h1dd3n", "h1dd3n>",
		"(h1dd3n", "h1dd3n)", "~h1dd3n", "h1dd3n:~", "h1dd3n=~", "h1dd3n\x00", "h1dd3n\x1b", "h1dd3n\xff", "h1dd3n\u00a0", "\ufeffh1dd3n", strings.Repeat("h1dd3n", 11000)} {
		text, err := EnvFile([]Value{{Name: "OK", Value: "fine"}, {Name: "BAD", Value: value, Secret: true}})
		if err == nil || text != "" || !strings.Contains(err.Error(), "BAD cannot") || strings.Contains(err.Error(), "OK") || strings.Contains(err.Error(), "h1dd3n") {
			t.Errorf("%.20q: got %q, %v", value, text, err)
		}
	}
	if _, err := EnvFile([]Value{{Name: "A", Value: "two\nlines"}}); err == nil || !strings.Contains(err.Error(), "several lines") {
		t.Errorf("got %v", err)
	}
}

func TestAFilesContentIsNeverInAnEnvFile(t *testing.T) {
	text, err := EnvFile([]Value{{Name: "KEY", Value: "con\ntent", File: true, Path: "/dev/shm/d/KEY"}, {Name: "EMPTY"}})
	if err != nil || text != "KEY=/dev/shm/d/KEY\nEMPTY=\n" {
		t.Errorf("got %q, %v", text, err)
	}
}

// What bash itself lists is either read back or refused.
func TestAVariableThatAShellKeepsForItselfIsRefused(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here:", err)
	}
	out, err := exec.Command(bash, "--norc", "-c", "compgen -v").Output()
	if err != nil {
		t.Fatal(err)
	}
	names, refused := strings.Fields(string(out)), 0
	file := filepath.Join(t.TempDir(), "env")
	for _, name := range names {
		text, err := EnvFile([]Value{{Name: name, Value: "abc"}})
		specs := []spec.Spec{{Bindings: []spec.Binding{{Name: name, Template: spec.FieldTemplate("x")}}}}
		if (CheckEnvFile(specs, Options{}) == nil) != (err == nil) || (CheckShell(specs, Options{}) == nil) != (err == nil) {
			t.Errorf("%s: what is said beforehand is not what is said then: %v", name, err)
		}
		if err != nil {
			refused++
			continue
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(bash, "--norc", "-c", `set -a; . "$1"; exec /usr/bin/env -0`, "bash", file).Output()
		if got := parseEnv0(string(out))[name]; err != nil || got != "abc" {
			t.Errorf("%s is read back as %q, %v", name, got, err)
		}
	}
	if refused < 10 || refused == len(names) {
		t.Errorf("of %d names %d are refused", len(names), refused)
	}
}

func TestWhatNoEnvFileCanCarryIsRefusedBeforehandWhereTheSpecShowsIt(t *testing.T) {
	o := Options{Presets: map[string]string{"mine": "A='{x} {y}'? B=x"}}
	for _, c := range []struct{ spec, want string }{
		{"vault:a as=git", "GIT_CONFIG_VALUE_1 cannot stand in an env file: what git is given is a line of shell"},
		{"vault:a A='{x|shell}'", "A cannot stand"},
		{"vault:a A='postgres://{u}:{p|url}@db/app?a=1&b=2'", "A cannot stand in an env file: beside its fields it holds"},
		{"vault:a UID=x", "UID cannot be set in a shell"},
		{"vault:a A=@'{x} {y}'\nvault:b D='{x|unbase64}' C='{x}~' as=mine", ""},
		{"vault:a as=mine X='{x}:~'", "X cannot stand"},
		{"vault:a\nvault:b as=postgres\nvault:c as=aws-endpoint\nvault:d as=ssh", ""},
	} {
		err := CheckEnvFile(parse(t, c.spec), o)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.spec, err, c.want)
		}
	}
	_, err := EnvFile([]Value{{Name: "KEY", File: true, Path: "/dev/shm/a b/KEY"}, {Name: "SOCK", Value: "/a b/sock", Lasts: true}})
	if err == nil || strings.Count(err.Error(), "XDG_RUNTIME_DIR") != 2 || strings.Contains(err.Error(), "as a file") {
		t.Errorf("of a directory's path it is said: %v", err)
	}
}
