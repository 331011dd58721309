//go:build !windows

package harness

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// A MotoServer is a throwaway stand-in for AWS: IAM and STS as far as credentials go.
type MotoServer struct {
	URL    string
	Python string // an interpreter that has boto3

	d *daemon
}

// Moto starts the moto that testdata/servers/install puts into Cache, on a free port of 127.0.0.1, and stops it when the test ends.
func Moto(t testing.TB) *MotoServer {
	t.Helper()
	bin := filepath.Join(Cache(t), "moto", "bin")
	if !executable(filepath.Join(bin, "moto_server")) {
		Missing(t, "moto in %s", bin)
	}
	d := newDaemon(t, "moto")
	port := FreePort(t)
	s := &MotoServer{URL: fmt.Sprintf("http://127.0.0.1:%d", port), Python: filepath.Join(bin, "python"), d: d}
	d.start(90*time.Second, func() error {
		answer, err := http.Get(s.URL + "/moto-api/data.json") //nolint:noctx // a test's own server
		if err == nil {
			answer.Body.Close()
		}
		return err
	}, []string{"PYTHONDONTWRITEBYTECODE="}, filepath.Join(bin, "moto_server"), "-H", "127.0.0.1", "-p", fmt.Sprint(port))
	return s
}
