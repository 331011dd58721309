//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A hostileAnswer is what a server that was taken over, or somebody in its place, says when it is asked for a credential.
type hostileAnswer struct {
	name    string
	spec    string // default: one variable
	answer  http.HandlerFunc
	runs    bool   // the command is run all the same
	says    string // a pattern of what is said
	without string // a pattern of what must not be in the environment of the command
}

// body answers with that and nothing else.
func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// forever goes on until nobody reads.
func forever(begin string, pause time.Duration, more []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, err := io.WriteString(w, begin)
		for err == nil && r.Context().Err() == nil {
			_, err = w.Write(more)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(pause)
		}
	}
}

// escapes are what a terminal, and the runner of GitHub, would take for commands.
const escapes = `\r::warning::owned\r\n::add-path::/tmp\u001b[2J\u009b31m\u0007`

func hostileAnswers(elsewhere string) []hostileAnswer {
	many := map[string]string{}
	for i := range 200_000 {
		many[fmt.Sprintf("field_%d", i)] = "x"
	}
	fields, _ := json.Marshal(many) // of strings
	mebibyte := bytes.Repeat([]byte("x"), 1<<20)
	return []hostileAnswer{
		{name: "a redirect to another host", says: "VAULT_ADDR", answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere+r.URL.Path, http.StatusTemporaryRedirect)
		}},
		{name: "an endless answer", says: "larger than", answer: forever(`{"data":{"username":"`, 0, mebibyte)},
		{name: "an endless answer, compressed", says: "larger than", answer: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, err := io.WriteString(z, `{"data":{"username":"`)
			for err == nil && r.Context().Err() == nil {
				_, err = z.Write(mebibyte)
			}
		}},
		{name: "an endless head", says: ".", answer: func(w http.ResponseWriter, _ *http.Request) {
			for i := range 64 {
				w.Header().Set(fmt.Sprintf("X-%d", i), string(mebibyte))
			}
		}},
		{name: "a byte now and then", says: "no answer in time", answer: forever(`{"data":{"username":"`, 50*time.Millisecond, []byte("x"))},
		{name: "wrong types", says: ".", answer: body(`{"lease_id":["x"],"lease_duration":"y","data":[1,2]}`)},
		{name: "an abyss", says: ".", answer: body(`{"data":{"a":` + strings.Repeat("[", 1<<20))},
		{name: "no end in sight of the numbers", says: ".", answer: body(`{"lease_id":"database/creds/r/1","lease_duration":1e400,"data":{"username":"u"}}`)},
		{name: "commands for the terminal in an error", says: "owned", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"errors":["`+escapes+`"]}`)
		}},
		{name: "commands for the terminal in a warning", runs: true, says: "owned",
			answer: body(`{"lease_id":"database/creds/r/1","lease_duration":60,"warnings":["` + escapes + `"],"data":{"username":"u"}}`)},
		{name: "commands for the terminal in the name of the lease", runs: true, says: "owned",
			answer: body(`{"lease_id":"database/creds/r/` + escapes + `","lease_duration":60,"data":{"username":"u"}}`)},
		{name: "commands for the terminal in the name of a field", runs: true, spec: "vault:database/creds/r", says: "owned",
			answer: body(`{"data":{"` + escapes + `":"u"}}`)},
		{name: "commands for the terminal in the name of a field that is listed", spec: "vault:database/creds/r A=nosuch", says: "owned",
			answer: body(`{"data":{"` + escapes + `":"u"}}`)},
		{name: "a field that would be LD_PRELOAD", spec: "vault:kv1/ld", says: "LD_PRELOAD", without: "LD_PRELOAD",
			answer: body(`{"data":{"preload":"/tmp/x.so","token":"x"}}`)},
		{name: "a value that no variable can hold", says: ".", answer: body(`{"data":{"username":"a\u0000LD_PRELOAD=/tmp/x.so"}}`)},
		{name: "a secret as large as a disk", says: "are not taken", spec: "vault:kv1/app A=token",
			answer: body(`{"data":{"token":"x","key":"` + rand.Text() + strings.Repeat("x", 4<<20) + `"}}`)},
		{name: "a secret as large as can be", runs: true, spec: "vault:kv1/app A=token", says: "revoked|nothing",
			answer: body(`{"data":{"token":"` + rand.Text() + `","key":"` + rand.Text() + strings.Repeat("x", 500<<10) + `"}}`)},
		{name: "more fields than there is room for", spec: "vault:kv1/app", says: "are not taken", answer: body(`{"data":` + string(fields) + `}`)},
	}
}

// TestAHostileVaultNeitherCrashesNorExhaustsNorCommandsTheRun is about the whole binary: its memory, its output, and what the command gets.
func TestAHostileVaultNeitherCrashesNorExhaustsNorCommandsTheRun(t *testing.T) {
	const most = 400 << 10 // KiB of memory, a dozen times the largest answer that is read
	token := rand.Text()
	var caught atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { caught.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for _, h := range hostileAnswers(elsewhere.URL) {
		t.Run(h.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch path := strings.TrimPrefix(r.URL.Path, "/v1/"); {
				case r.Method == http.MethodGet && !strings.HasPrefix(path, "sys/"):
					h.answer(w, r)
				case strings.HasPrefix(path, "sys/leases/revoke"):
					w.WriteHeader(http.StatusNoContent)
				default:
					w.WriteHeader(http.StatusNotFound)
				}
			}))
			t.Cleanup(server.Close)
			spec := h.spec
			if spec == "" {
				spec = "vault:database/creds/r A=username"
			}
			s := &source{specs: []string{spec}, left: func() []string { return nil }, env: map[string]string{
				"VAULT_ADDR": server.URL, "VAULT_TOKEN": token, "VAULT_CLIENT_TIMEOUT": "3s", "VAULT_MAX_RETRIES": "0", "WITH_CREDS_REVOKE_TIMEOUT": "5s", "GITHUB_ACTIONS": "true",
			}}
			tr := newTrial(t, s, []string{"--verbose"}, "sh", "-c", "env >environment")
			tr.cmd.Stdout = tr.stderr
			code, used := tr.runWatched()
			said := tr.stderr.String()
			if used > most {
				t.Errorf("it took %d KiB of memory", used)
			}
			environment, err := os.ReadFile(tr.path("environment"))
			if ran := err == nil; ran != h.runs || code != map[bool]int{false: failed, true: 0}[h.runs] {
				t.Errorf("the command was run: %t; exit code %d", ran, code)
			}
			if h.without != "" && regexp.MustCompile(h.without).Match(environment) {
				t.Errorf("the command is given %s", h.without)
			}
			receipt, _ := os.ReadFile(tr.path("receipt.json"))
			if strings.Contains(said+string(receipt), token) || strings.Contains(said, "goroutine ") || strings.Contains(said, "panic") {
				t.Error("it shows the token, or crashes")
			}
			if !regexp.MustCompile(h.says).MatchString(said) {
				t.Errorf("it does not say %q", h.says)
			}
			if len(said) > 2<<20 { // a mask for the CI of the largest secret there may be
				t.Errorf("it says %d bytes", len(said))
			}
			for line := range strings.FieldsFuncSeq(said, func(r rune) bool { return r == '\n' || r == '\r' }) {
				if strings.HasPrefix(line, "::") && !strings.HasPrefix(line, "::add-mask::") || strings.ContainsFunc(line, control) {
					t.Errorf("the server's text is a command in %q", line)
				}
			}
			if t.Failed() {
				t.Logf("%.4000s", said)
			}
			tr.cleanedUp(cleanUpLimit)
		})
	}
	if caught.Load() != 0 {
		t.Errorf("another host was asked %d times", caught.Load())
	}
}

// runWatched is run, and the most memory that the process had, in KiB. (What wait4(2) says of a process begins with the memory of the one that forked it.)
func (tr *trial) runWatched() (code, most int) {
	tr.t.Helper()
	tr.start()
	status := fmt.Sprintf("/proc/%d/status", tr.pid())
	for looked := time.NewTicker(2 * time.Millisecond); ; {
		text, _ := os.ReadFile(status) // of a process that has ended there is nothing
		if _, after, found := bytes.Cut(text, []byte("\nVmHWM:")); found {
			var now int
			if _, err := fmt.Sscan(string(after), &now); err != nil {
				tr.t.Fatal(err)
			}
			most = max(most, now)
		}
		select {
		case <-looked.C:
		case <-tr.ended:
			looked.Stop() // one that has ended before the first look has not had the time to take much
			return tr.wait(), most
		}
	}
}

// control reports what a terminal takes for more than text.
func control(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 }

// TestNamesOfLeasesAreTextInTheTablesOfAnOperator is about the incident: that is when somebody has been at the server.
func TestNamesOfLeasesAreTextInTheTablesOfAnOperator(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := strings.TrimPrefix(r.URL.Path, "/v1/"); {
		case strings.HasPrefix(path, "sys/leases/lookup/"):
			_, _ = io.WriteString(w, `{"data":{"keys":["one`+escapes+`","two"]}}`)
		case path == "sys/leases/lookup":
			_, _ = io.WriteString(w, `{"data":{"id":"database/creds/r/one`+escapes+`","ttl":60,"renewable":true}}`)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(server.Close)
	env := map[string]string{"VAULT_ADDR": server.URL, "VAULT_TOKEN": rand.Text()}
	for _, args := range [][]string{{"lease", "list", "database/creds/r"}, {"lease", "revoke", "--prefix", "--sync", "--yes", "database/creds/r"}} {
		o := operate(t, t.TempDir(), env, args...)
		said := o.stdout + o.stderr
		if !strings.Contains(said, "owned") {
			t.Errorf("%q: the name is not there, and nothing is tested: %s", args, said)
		}
		for line := range strings.FieldsFuncSeq(said, func(r rune) bool { return r == '\n' || r == '\r' }) {
			if strings.HasPrefix(line, "::") || strings.ContainsFunc(line, control) {
				t.Errorf("%q: the server's text is a command in %q", args, line)
			}
		}
	}
}

// TestADatabaseThatNeverStopsTalkingIsLeft: the drivers keep what a server says until they can make sense of it.
func TestADatabaseThatNeverStopsTalkingIsLeft(t *testing.T) {
	const most = 200 << 10 // KiB of memory
	mebibytes := bytes.Repeat([]byte{'x'}, 0xffffff)
	password := rand.Text()
	for name, c := range map[string]struct {
		login string
		says  string // of the drivers, one keeps the reason to itself
		say   func(conn net.Conn, n int) error
	}{
		// One message that goes on for a gigabyte (https://www.postgresql.org/docs/current/protocol-message-formats.html).
		"postgres": {"WITH_CREDS_POSTGRES_URL=postgres://ci:" + password + "@%s/shop?sslmode=disable", "has said more than 32 MB", func(conn net.Conn, n int) error {
			if n == 0 {
				_, err := conn.Write([]byte{'R', 0x3f, 0xff, 0xff, 0xff})
				return err
			}
			_, err := conn.Write(mebibytes)
			return err
		}},
		// Packets of the largest size, each of which says that there is another one (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html).
		"mysql": {"WITH_CREDS_MYSQL_URL=mysql://ci:" + password + "@%s/shop", "invalid connection", func(conn net.Conn, n int) error {
			_, err := conn.Write(append([]byte{0xff, 0xff, 0xff, byte(n)}, mebibytes...))
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { listener.Close() })
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					go func() {
						defer conn.Close()
						for n := 0; err == nil; n++ {
							err = c.say(conn, n)
						}
					}()
				}
			}()
			variable, url, _ := strings.Cut(fmt.Sprintf(c.login, listener.Addr()), "=")
			s := &source{specs: []string{name + ":readonly A=username"}, env: map[string]string{variable: url}, left: func() []string { return nil }}
			tr := newTrial(t, s, nil, "true")
			code, used := tr.runWatched()
			if code != failed || !strings.Contains(tr.stderr.String(), c.says) || strings.Contains(tr.stderr.String(), password) {
				t.Errorf("exit code %d; stderr:\n%s", code, tr.stderr)
			}
			if used > most {
				t.Errorf("it took %d KiB of memory", used)
			}
			tr.cleanedUp(cleanUpLimit)
		})
	}
}
