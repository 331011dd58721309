package mask

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// tool skips where a tool is not there, unless everything is to be tested.
func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("WITH_CREDS_TEST_FULL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// In a pattern, S is the marker. What is left besides it is the tool's own.
var toolCases = []struct {
	tool, script string
	pattern      string
	not          string // a kind of sample this does not apply to
}{
	{"bash", `set -x; true "$V"`, `\+ true \$?'*S'*\n`, ""},
	{"bash", `set -x; A=$V`, `\+ A=\$?'*S'*\n`, ""},
	{"bash", `set -x; true "key=$V" 2>&1`, `\+ true \$?'*key='*S'*\n`, ""},
	{"bash", `set -x; [[ $V == x ]] || :`, `\+ \[\[ \$?'*S'* == x \]\]\n\+ :\n`, ""},
	{"bash", `printf '%q\n' "$V"`, `(\$')?S'?\n`, ""},
	{"bash", `printf '%q\n' "postgres://u:$V@h"`, `(\$')?postgres://u:S@h'?\n`, ""},
	{"bash", `echo "${V@Q}"`, `\$?'+S'+\n`, ""},
	{"bash", `declare -p V`, `declare -x V=(\$'|")S['"]\n`, ""},
	{"bash", `set | grep -a ^V=`, `V=\$?'*S'*\n`, ""},
	{"bash", `export LC_ALL=C; printf '%q\n' "$V"; declare -p V`, `(\$')?S'?\ndeclare -x V=(\$'|")S['"]\n`, ""},
	{"bash", `export LC_ALL=C.UTF-8; printf '%q\n' "$V"; declare -p V`, `(\$')?S'?\ndeclare -x V=(\$'|")S['"]\n`, ""},
	{"bash", `set -f; echo $V`, `S\n`, ""},
	{"bash", `echo "$V" | sed 's/^/    /'`, `    S\n|    ` + begin + `\r?\n(    S\r?\n)+    ` + end + `\n`, ""},
	{"bash", `echo "$V" | tr -d '\n'`, `S|` + begin + `\r(S\r)+` + end, ""},
	{"bash", `echo "$V" | sed 's/$/\r/'`, `S\r\n|` + begin + `\r\r\n(S\r\r\n)+` + end + `\r\n`, ""},
	{"bash", `set -x; [[ x == "$V" ]] || :`, `\+ \[\[ x == S \]\]\n\+ :\n`, ""},
	{"bash", `set -x; [[ $V != "$V" ]] || :`, `\+ \[\[ S != S \]\]\n\+ :\n`, ""},
	{"bash", `set -x; [[ x == *"key=$V"* ]] || :`, `\+ \[\[ x == \*\\k\\e\\y\\=S\* \]\]\n\+ :\n`, ""},
	{"bash", `set -x; [[ x =~ "$V" ]] || :`, `\+ \[\[ x =~ S \]\]\n\+ :\n`, ""},
	{"bash", `export LC_ALL=C; set -x; [[ x = "$V" ]] || :`, `(?s:.*)\+ \[\[ x = S \]\]\n\+ :\n`, ""},
	{"bash", `export LC_ALL=C.UTF-8; set -x; [[ x = "$V" ]] || :`, `(?s:.*)\+ \[\[ x = S \]\]\n\+ :\n`, ""},
	{"bash", `ls -- "$V"`, `.*['"]*S['"]*: .*\n`, ""},
	{"bash", `LC_ALL=C ls -- "$V"`, `.*['"]*S['"]*: .*\n`, ""},
	{"bash", `LC_ALL=C.UTF-8 ls -- "$V"`, `.*['"]*S['"]*: .*\n`, ""},
	{"bash", `GIT_TRACE=1 git version "$V" | grep -av '^git'`, `.* git version '*S'*\n.*`, ""},

	{"zsh", `set -x; true "$V"`, `.*> true \$?'*S'*\n`, ""},
	{"zsh", `set -x; A=$V`, `.*> A=\$?'*S'* \n`, ""},
	{"zsh", `set -x; [[ x == "$V" ]]`, `.*> \[\[ x == S \]\]\n`, control + lines},
	{"zsh", `export LC_ALL=C; set -x; true "$V"`, `.*> true \$?'*S'*\n`, ""},
	{"zsh", `print -r -- ${(q)V}`, `S\n`, control + lines + invalid},
	{"zsh", `typeset -p V`, `export V=\$?'*S'*\n`, ""},

	{"fish", `string escape -n -- "$V"`, `S\n`, control + lines + invalid},
	{"fish", `string escape -- "$V"`, `'*S'*\n`, control + lines + invalid},

	{"mksh", `set -x; true "$V"`, `.*true \$?'*S'*\n`, ""},
	{"mksh", `export LC_ALL=C.UTF-8; set -U -x; true "$V"`, `.*true \$?'*S'*\n`, ""},

	{"php", `echo json_encode($v);`, `"S"`, invalid},
	{"php", `echo json_encode($v, JSON_UNESCAPED_SLASHES);`, `"S"`, invalid},
	{"php", `echo json_encode($v, JSON_UNESCAPED_UNICODE);`, `"S"`, invalid},
	{"php", `echo json_encode(json_encode($v));`, `"\\"S\\""`, invalid},
	{"php", `echo json_encode(json_encode($v, JSON_UNESCAPED_SLASHES));`, `"\\"S\\""`, invalid},
	{"php", `echo urlencode($v), "\n", rawurlencode($v), "\n", http_build_query(["p" => $v]);`, `S\nS\np=S`, ""},
	{"php", `echo htmlspecialchars($v), "\n", htmlspecialchars($v, ENT_COMPAT);`, `S\nS`, invalid},
	{"php", `echo var_export($v, true);`, `'S'`, ""},
	{"php", `echo escapeshellarg($v);`, `'+S'+`, invalid},

	{"perl", `print Dumper($v);`, `\$VAR1 = ['"]S['"];\n`, ""},
	{"perl", `$Data::Dumper::Useqq = 1; print Dumper($v);`, `\$VAR1 = "S";\n`, control},
	{"perl", `print quotemeta($v);`, `S`, ""},

	{"dash", `set -x; true "$V"`, `\+ true '*S'*\n`, ""},
	{"dash", `set -x; A=$V`, `\+ A='*S'*\n`, ""},
	{"dash", `export -p | grep -a -A100 '^export V='`, `export V='*"?S"?'*\n.*`, ""},

	{"jq", `-n -r $ENV.V`, `S\n`, ""},
	{"jq", `-n $ENV.V`, `"S"\n`, ""},
	{"jq", `-n -a $ENV.V`, `"S"\n`, invalid}, // jq has changed the bytes before it escapes them
	{"jq", `-n -r $ENV.V|@sh`, `'+S'+\n`, ""},
	{"jq", `-n -r $ENV.V|@uri`, `S\n`, invalid},
	{"jq", `-n -r $ENV.V|@html`, `S\n`, ""},
	{"jq", `-n -r $ENV.V|@base64`, `S\n`, invalid},
	{"jq", `-n -r {a:$ENV.V}|tojson|tojson`, `"{\\"a\\":\\"S\\"}"\n`, ""},
	{"jq", `-n -r $ENV.V|[.]|@csv`, `"S"\n`, ""},

	{"python3", `print(json.dumps(v))`, `"S"\n`, ""},
	{"python3", `out(json.dumps(v, ensure_ascii=False))`, `"S"\n`, ""},
	{"python3", `print(json.dumps(json.dumps(v)))`, `"\\"S\\""\n`, ""},
	{"python3", `out(repr(v))`, `['"]S['"]\n`, ""},
	{"python3", `print(ascii(v))`, `['"]S['"]\n`, ""},
	{"python3", `print(repr(b))`, `b['"]S['"]\n`, ""},
	{"python3", `out(shlex.quote(v))`, `'*S'*\n`, ""},
	{"python3", `print(urllib.parse.quote(b))`, `S\n`, ""},
	{"python3", `print(urllib.parse.quote(b, safe=''))`, `S\n`, ""},
	{"python3", `print(urllib.parse.quote_plus(b))`, `S\n`, ""},
	{"python3", `print(urllib.parse.urlencode({'p': b}))`, `p=S\n`, ""},
	{"python3", `out(html.escape(v))`, `S\n`, ""},
	{"python3", `out(xml.sax.saxutils.escape(v))`, `S\n`, ""},
	{"python3", `out(xml.sax.saxutils.quoteattr(v))`, `['"]S['"]\n`, ""},
	{"python3", `print(b.hex()); print(b.hex().upper())`, `S\nS\n`, ""},
	{"python3", `print(base64.b64encode(b).decode())`, `S\n`, ""},
	{"python3", `print(base64.urlsafe_b64encode(b).decode())`, `S\n`, ""},
	{"python3", `print(base64.encodebytes(b).decode(), end='')`, `(S\n)+`, lines},
	{"python3", `sys.stdout.buffer.write(b.decode('utf-8', 'ignore').encode('utf-16-le'))`, `S`, invalid},

	{"python3", `print(json.dumps(subprocess.run(['php', '-r', 'echo json_encode(getenv("V"));'], capture_output=True, text=True).stdout))`, `"\\"S\\""\n`, invalid},
	{"python3", `e = ET.Element('e', a=v); e.text = v; print(ET.tostring(e).decode())`, `<e a="S">S</e>\n`, control + invalid},
	{"python3", `out(re.escape(v))`, `S\n`, ""},
	{"python3", `out(sqlite3.connect(':memory:').execute('select quote(?)', (v,)).fetchone()[0])`, `'S'\n`, invalid},
	{"python3", `csv.writer(sys.stdout).writerow([v, ','])`, `"?S"?,","\r\n`, invalid},
	{"python3", `print(yaml.dump([v]))`, `- ['"]?S['"]?\n\n`, invalid + lines},
	{"python3", `out(yaml.dump([v], allow_unicode=True))`, `- ['"]?S['"]?\n\n`, invalid + lines},

	{"openssl", `base64`, `(S\n)+`, lines},
	{"openssl", `base64 -A`, `S`, ""},
	{"base64", ``, `(S\n)+`, lines},
	{"base64", `-w0`, `S`, ""},
	{"base64", `-w64`, `(S\n)+`, lines},
	{"base64", `-w76`, `(S\n)+`, lines},
	{"xxd", `-p`, `(S\n)+`, ""},
	{"xxd", `-p -u -c 10000`, `S\n`, ""},

	{"node", `console.log(JSON.stringify(v))`, `"S"\n`, invalid},
	{"node", `console.log([v])`, "\\[\\s+['\"`]S['\"`]\\s+\\]\n", invalid + " " + control + " " + lines},
	{"node", `console.log(encodeURIComponent(v))`, `S\n`, invalid},
	{"node", `console.log(encodeURI(v))`, `S\n`, invalid},
	{"node", `console.log(new URLSearchParams({p: v}).toString())`, `p=S\n`, invalid},
}

func TestNoFormAToolPrintsGetsThrough(t *testing.T) {
	scripts := map[string][]string{}
	for _, c := range toolCases {
		scripts[c.tool] = append(scripts[c.tool], c.script)
	}
	for name := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tool(t, name)
			for _, s := range samples() {
				must := mustMask(t, s)
				printed := runScripts(t, name, scripts[name], s.value)
				for _, c := range toolCases {
					if c.tool != name {
						continue
					}
					if c.not == "" || !strings.Contains(c.not, s.kind) {
						t.Run(c.script+" "+s.kind, func(t *testing.T) { must(t, printed[0], c.pattern) })
					}
					printed = printed[1:]
				}
			}
		})
	}
}

// separator stands between the outputs of scripts that one interpreter runs, so that it is started once a secret.
const separator = "\x1e\x1e"

func runScripts(t *testing.T, name string, scripts []string, value string) (outputs [][]byte) {
	t.Helper()
	var program strings.Builder
	args := []string{"-c"}
	switch name {
	case "bash", "dash", "zsh", "mksh":
		if name == "zsh" {
			args = []string{"-f", "-c"}
		}
		for _, s := range scripts {
			program.WriteString("(" + s + ") 2>&1\nprintf '\\036\\036'\n")
		}
	case "python3":
		program.WriteString(`
import os, sys, re, json, shlex, urllib.parse, html, xml.sax.saxutils, base64, csv, sqlite3, subprocess, yaml
import xml.etree.ElementTree as ET
v, b = os.environ['V'], os.environb[b'V']
def out(s): sys.stdout.flush(); sys.stdout.buffer.write(os.fsencode(s) + b'\n')
`)
		for _, s := range scripts {
			program.WriteString("try:\n " + s + "\nexcept Exception as e: print(type(e).__name__)\nsys.stdout.flush(); sys.stdout.buffer.write(b'\\x1e\\x1e'); sys.stdout.buffer.flush()\n")
		}
	case "fish":
		args = []string{"-N", "-c"}
		for _, s := range scripts {
			program.WriteString(s + "\nprintf '\\036\\036'\n")
		}
	case "perl":
		args = []string{"-MData::Dumper", "-e"}
		program.WriteString("my $v = $ENV{V};\n")
		for _, s := range scripts {
			program.WriteString("{ local $Data::Dumper::Useqq; " + s + " }\nprint \"\\x1e\\x1e\";\n")
		}
	case "php":
		args = []string{"-r"}
		program.WriteString("$v = getenv('V');\n")
		for _, s := range scripts {
			program.WriteString(s + "\necho \"\\x1e\\x1e\";\n")
		}
	case "node":
		args = []string{"-e"}
		program.WriteString("const v = process.env.V;\n")
		for _, s := range scripts {
			program.WriteString("try { " + s + " } catch (e) { console.log(e.name) }\nprocess.stdout.write('\\x1e\\x1e');\n")
		}
	default: // not an interpreter, or one that takes one script
		for _, s := range scripts {
			args := strings.Fields(s)
			if flags, filter, ok := strings.Cut(s, "$"); ok && name == "jq" {
				flags, brace, _ := strings.Cut(flags, "{")
				if brace != "" {
					brace = "{" + brace
				}
				args = append(strings.Fields(flags), brace+"$"+filter)
			}
			outputs = append(outputs, run(t, value, name, args...))
		}
		return outputs
	}
	return bytes.Split(run(t, value, name, append(args, program.String())...), []byte(separator))
}

// run gives the value in the variable V and on standard input.
func run(t *testing.T, value, name string, args ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "V="+value)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(value), &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out.Bytes())
	}
	return out.Bytes()
}

// What tools print that are not on every machine, by their documentation or as once seen.
func TestNoFormOfAToolThatIsNotHereGetsThrough(t *testing.T) {
	head, tail := random(6, alphanumeric), random(6, alphanumeric)
	for _, c := range []struct{ tool, value, printed string }{
		{"Gson, HTML-safe", `=<>&'"\/é`, `\u003d\u003c\u003e\u0026\u0027\"\\/é`},
		{"Flask, Jinja's tojson", `=<>&'"\/é`, `=\u003c\u003e\u0026\u0027\"\\/\u00e9`},
		{"System.Text.Json", `=<>&'"\/+é`, `=\u003C\u003E\u0026\u0027\u0022\\/\u002B\u00E9`},
		{"System.Text.Json in itself", `+é`, `\\u002B\\u00E9`},
		{"System.Text.Json in Go", `+<"`, `\\u002B\\u003C\\u0022`},
		{"Gson in System.Text.Json", `='`, `\\u003d\\u0027`},
		{"libxml2, as ASCII", `é€😀<`, `&#xE9;&#x20AC;&#x1F600;&lt;`},
		{"make -n, docker compose config", `a$b`, `a$$b`},
	} {
		t.Run(c.tool, func(t *testing.T) {
			mustMask(t, sample{c.tool, head + c.value + tail})(t, []byte(head+c.printed+tail), `S`)
		})
	}
}

func TestCurlsBasicAuthorizationIsMasked(t *testing.T) {
	tool(t, "curl")
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	for _, s := range samples() {
		if s.kind == lines {
			continue // not in a header
		}
		user := random(5, alphanumeric)
		m := New(Options{Marker: masked})
		m.AddBasic(user, s.value)
		cmd := exec.Command("curl", "-sv", "--config", "-", server.URL)
		config := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\t", `\t`, "\v", `\v`).Replace(s.value)
		cmd.Stdin = strings.NewReader(`user = "` + user + ":" + config + "\"\n")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %s", err, out.Bytes())
		}
		got := m.mask(t, out.String())
		if !regexp.MustCompile(`(?m)^> Authorization: Basic ` + masked + `\r?$`).MatchString(got) {
			t.Errorf("%s: %s", s.kind, got)
		}
		if !strings.Contains(got, user) {
			t.Errorf("the user name is masked: %s", got)
		}
	}
}

func TestCurlsDataUrlencodeIsMasked(t *testing.T) {
	tool(t, "curl")
	for _, s := range samples() {
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		cmd := exec.Command("curl", "-svG", "--data-urlencode", "q@-", server.URL)
		cmd.Stdin = strings.NewReader(s.value)
		var out bytes.Buffer
		cmd.Stderr = &out
		err := cmd.Run()
		server.Close()
		if err != nil {
			t.Fatal(err)
		}
		mustMask(t, s)(t, out.Bytes(), `.*> GET /\?q=S(%0[Aa])? HTTP/.*`)
	}
}
