//go:build !windows

package harness_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/testdata/harness"
)

// answering is a server that says ok, and how many requests it has had.
func answering(t *testing.T) (string, *atomic.Int64) {
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, "ok "+string(body))
	}))
	t.Cleanup(server.Close)
	return server.URL, &n
}

func put(t *testing.T, client *http.Client, url, body string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.GetBody = nil // so that the client does not ask again by itself
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.Status + " " + string(text), err
}

func TestProxyDoesToEachRequestWhatThePlanSays(t *testing.T) {
	for name, c := range map[string]struct {
		fault   harness.HTTPFault
		want    string // "": an error
		reached int64  // of the two requests, the server got
		err     error
	}{
		"nothing":  {nil, "200 OK ok two", 2, nil},
		"answer":   {harness.Answer(412, "x"), "412 Precondition Failed x", 1, nil},
		"huge":     {harness.HugeAnswer(5), "200 OK xxxxx", 1, nil},
		"late":     {harness.Delay(50 * time.Millisecond), "200 OK ok two", 2, nil},
		"hang up":  {harness.HangUp, "", 1, io.EOF},
		"reset":    {harness.Reset, "", 1, syscall.ECONNRESET},
		"after":    {harness.ResetAfter, "", 2, syscall.ECONNRESET},
		"truncate": {harness.Truncate, "", 2, io.ErrUnexpectedEOF},
		"refuse":   {harness.Refuse(time.Millisecond), "", 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			server, reached := answering(t)
			p := harness.NewProxy(t, server, func(e *harness.Exchange) harness.HTTPFault {
				if e.N == 2 {
					return c.fault
				}
				return nil
			})
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			if got, err := put(t, client, p.Addr+"/v1/a", "one"); got != "200 OK ok one" || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
			got, err := put(t, client, p.Addr+"/v1/b", "two")
			if c.want != "" && (got != c.want || err != nil) || c.want == "" && err == nil || c.err != nil && !errors.Is(err, c.err) {
				t.Errorf("%q, %v, want %q, %v", got, err, c.want, c.err)
			}
			if reached.Load() != c.reached {
				t.Errorf("%d requests reached the server, want %d", reached.Load(), c.reached)
			}
			want := []harness.Seen{{Method: "PUT", Path: "a"}, {Method: "PUT", Path: "b", Faulty: c.fault != nil}}
			if seen := p.Requests(); !slices.Equal(seen, want) {
				t.Errorf("seen %v, want %v", seen, want)
			}
			for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) { // one that refuses listens again
				if got, err := put(t, client, p.Addr+"/v1/c", "three"); err == nil && got == "200 OK ok three" {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("it is not reached any more")
				}
			}
		})
	}
}

func TestProxyTellsSerialRoundTripsFromParallelOnes(t *testing.T) {
	server, _ := answering(t)
	p := harness.NewProxy(t, server, nil, harness.ProxyLatency(300*time.Millisecond))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range 2 {
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if _, err := put(t, client, p.Addr, ""); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	if n, rounds := len(p.Requests()), p.Rounds(); n != 6 || rounds < 2 || rounds == 6 {
		t.Errorf("%d requests in %d round trips, want 6 in 2", n, rounds)
	}
}
