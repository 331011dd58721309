package pipelines_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A release is a server of releases, with what it was asked for. Its archive holds a script in place of with-creds.
type release struct {
	*httptest.Server
	archive, sum string
	mu           sync.Mutex
	asked        []string // since it was last looked at
	failing      int      // so many requests are answered 503
}

func newRelease(t testing.TB) *release {
	t.Helper()
	need(t, "node", "tar")
	dir, files := t.TempDir(), t.TempDir()
	write(t, filepath.Join(dir, "with-creds"), "#!/bin/sh\necho this is the release\n")
	if err := os.Chmod(filepath.Join(dir, "with-creds"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := &release{archive: fmt.Sprintf("with-creds_1.2.3_%s_%s.tar.gz", runtime.GOOS, runtime.GOARCH)}
	if out, err := exec.Command("tar", "-czf", filepath.Join(files, r.archive), "-C", dir, "with-creds").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sum := sha256.Sum256([]byte(read(t, filepath.Join(files, r.archive))))
	r.sum = hex.EncodeToString(sum[:])
	write(t, filepath.Join(files, "checksums.txt"), r.sum+"  "+r.archive+"\n")
	server := http.StripPrefix("/v1.2.3/", http.FileServer(http.Dir(files)))
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		r.asked = append(r.asked, filepath.Base(q.URL.Path))
		fails := r.failing > 0
		r.failing--
		r.mu.Unlock()
		if fails {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		server.ServeHTTP(w, q)
	}))
	t.Cleanup(r.Close)
	return r
}

// install is the action's main step, which installs a version, and runs a command with it.
func (r *release) install(t testing.TB, env map[string]string) (shown string, code int, asked []string) {
	t.Helper()
	c := exec.Command("node", filepath.Join(root(), "pipelines/github/dist/main.cjs"))
	c.Env = environ(t, map[string]string{"INPUT_VERSION": "1.2.3", "INPUT_RELEASES": r.URL, "INPUT_RUN": "true", "RUNNER_TEMP": t.TempDir()}, env)
	shown, code = run(t, c)
	r.mu.Lock()
	defer r.mu.Unlock()
	asked, r.asked = r.asked, nil
	return shown, code, asked
}

func TestGitHubActionInstallsFromTheRunnersToolCacheWhatHasTheRightChecksum(t *testing.T) {
	r := newRelease(t)
	cache := t.TempDir()
	cached := filepath.Join(cache, "with-creds/1.2.3", r.sum, r.archive)
	list := []string{"checksums.txt"}
	for _, c := range []struct {
		name   string
		before string // is written to the cache; nothing: left as it is
		sha256 string
		want   []string
	}{
		{"nothing there", "", "", append(list, r.archive)},
		{"the archive there", "", "", list},
		{"the archive there, and its checksum known", "", r.sum, nil},
		{"another file in its place", "evil", r.sum, []string{r.archive}},
		{"and then again the archive", "", r.sum, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.before != "" {
				write(t, cached, c.before)
			}
			shown, code, asked := r.install(t, map[string]string{"RUNNER_TOOL_CACHE": cache, "INPUT_SHA256": c.sha256})
			if code != 0 || !strings.Contains(shown, "this is the release") || !slices.Equal(asked, c.want) {
				t.Errorf("code %d, asked for %q, want %q\n%s", code, asked, c.want, shown)
			}
		})
	}
}

func TestGitHubActionAsksAgainForWhatMayPassAlone(t *testing.T) {
	r := newRelease(t)
	r.failing = 1
	shown, code, asked := r.install(t, map[string]string{"INPUT_SHA256": r.sum})
	if code != 0 || !slices.Equal(asked, []string{r.archive, r.archive}) {
		t.Errorf("code %d, asked for %q\n%s", code, asked, shown)
	}
	shown, code, asked = r.install(t, map[string]string{"INPUT_VERSION": "1.2.4"})
	if code == 0 || !strings.Contains(shown, "checksums.txt: 404") || !slices.Equal(asked, []string{"checksums.txt"}) {
		t.Errorf("a release that is not there: code %d, asked for %q\n%s", code, asked, shown)
	}
}

func TestGitHubActionInstallsThroughAProxy(t *testing.T) {
	r := newRelease(t)
	var through []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		through = append(through, q.Method+" "+q.Host)
		server, err := net.Dial("tcp", r.Listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer server.Close()
		client, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer client.Close()
		fmt.Fprint(client, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(server, bufio.NewReader(buffered)) }()
		_, _ = io.Copy(client, server)
	}))
	t.Cleanup(proxy.Close)
	shown, code, _ := r.install(t, map[string]string{"INPUT_RELEASES": "http://releases.example", "INPUT_SHA256": r.sum, "HTTP_PROXY": proxy.URL})
	if code != 0 || !strings.Contains(shown, "this is the release") || !slices.Equal(through, []string{"CONNECT releases.example:80"}) {
		t.Errorf("code %d, through the proxy %q\n%s", code, through, shown)
	}
}
