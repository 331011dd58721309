package ready

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/with-creds/with-creds/providers"
)

func awsUser(more ...providers.Field) providers.Credential {
	return providers.Credential{Fields: append([]providers.Field{{Name: "access_key", Value: "AKIDEXAMPLE"}, {Name: "secret_key", Value: rand.Text(), Secret: true}}, more...)}
}

// sts answers a number of questions with an error's code, and then with success.
func sts(t *testing.T, code string, times int32) (options Options, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != awsQuestion || !strings.Contains(r.Header.Get("Authorization"), "Credential=AKIDEXAMPLE/") {
			t.Errorf("asked %q with %q", body, r.Header)
		}
		if asked.Add(1) <= times {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, "<ErrorResponse><Error><Code>"+code+"</Code></Error></ErrorResponse>")
		}
	}))
	t.Cleanup(server.Close)
	env := map[string]string{"AWS_ENDPOINT_URL": server.URL}
	return Options{Every: time.Millisecond, Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}, asked
}

func TestKeysThatAreNotKnownYetAreWaitedFor(t *testing.T) {
	o, asked := sts(t, "InvalidClientTokenId", 3)
	waiting := 0
	o.Waiting = func() { waiting++ }
	if silent, err := Wait(t.Context(), "aws", awsUser(), o); silent != nil || err != nil || asked.Load() != 4 || waiting != 1 {
		t.Errorf("%v, %v after %d questions, said %d times", silent, err, asked.Load(), waiting)
	}
}

func TestKeysThatAreNeverKnownAreAnError(t *testing.T) {
	o, _ := sts(t, "InvalidClientTokenId", 1<<30)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	c := awsUser()
	_, err := Wait(ctx, "aws", c, o)
	if err == nil || strings.Contains(err.Error(), c.Fields[1].Value) {
		t.Errorf("got %v", err)
	}
}

// says is an STS at any address that refuses with a code and a message.
type says struct {
	code, message string
	asked         atomic.Int32
}

func (s *says) RoundTrip(*http.Request) (*http.Response, error) {
	s.asked.Add(1)
	body := "<ErrorResponse><Error><Code>" + s.code + "</Code><Message>" + s.message + "</Message></Error></ErrorResponse>"
	return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func TestOnlyTheRightServicesWordAboutTheKeysEndsTheRun(t *testing.T) {
	for name, c := range map[string]struct {
		code, message, region string
		waits, silent, fails  bool
	}{
		"keys that are not known":           {"InvalidClientTokenId", "The security token included in the request is invalid.", "eu-central-1", true, false, true},
		"in a region that was guessed":      {"InvalidClientTokenId", "The security token included in the request is invalid.", "", true, true, false},
		"a secret that is not known":        {"SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.", "", true, false, true},
		"a clock that is late":              {"SignatureDoesNotMatch", "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z", "eu-central-1", false, true, false},
		"a clock that is ahead of its time": {"SignatureDoesNotMatch", "Signature not yet current: 20260101T010000Z is still later than 20260101T001000Z", "eu-central-1", false, true, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			service := &says{code: c.code, message: c.message}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			silent, err := Wait(ctx, "aws", awsUser(providers.Field{Name: "region", Value: c.region}), Options{Client: &http.Client{Transport: service}})
			if (silent != nil) != c.silent || (err != nil) != c.fails || (service.asked.Load() > 1) != c.waits {
				t.Errorf("%s: %v, %v after %d questions", name, silent, err, service.asked.Load())
			}
		})
	}
}

func TestWhatCannotBeAskedIsNotWaitedFor(t *testing.T) {
	o := Options{Lookup: func(string) (string, bool) { return "http://127.0.0.1:1", true }}
	if silent, err := Wait(t.Context(), "aws", awsUser(), o); silent == nil || err != nil {
		t.Errorf("%v, %v", silent, err)
	}
}

func TestOnlyAnIAMUsersKeysAreAskedAbout(t *testing.T) {
	o, asked := sts(t, "", 0)
	for family, c := range map[string]providers.Credential{
		"aws":   awsUser(providers.Field{Name: "session_token", Value: "s"}),
		"":      awsUser(),
		"other": awsUser(),
	} {
		if silent, err := Wait(t.Context(), family, c, o); silent != nil || err != nil {
			t.Errorf("%v, %v", silent, err)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d questions", n)
	}
	denied, _ := sts(t, "AccessDenied", 1)
	if silent, err := Wait(t.Context(), "aws", awsUser(), denied); silent != nil || err != nil {
		t.Errorf("keys that are known and may do nothing: %v, %v", silent, err)
	}
}

func TestTheQuestionGoesWhereTheCommandsOwnWould(t *testing.T) {
	for _, c := range []struct {
		region, env, want string
		named             bool
	}{
		{"", "", "https://sts.us-east-1.amazonaws.com/", false},
		{"eu-central-1", "AWS_REGION=us-west-2", "https://sts.eu-central-1.amazonaws.com/", true},
		{"", "AWS_DEFAULT_REGION=cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn/", true},
		{"", "AWS_ENDPOINT_URL_STS=http://x:1", "http://x:1/", true},
	} {
		name, value, _ := strings.Cut(c.env, "=")
		got, _, named := awsEndpoint(func(n string) (string, bool) { return value, n == name }, c.region)
		if got != c.want || named != c.named {
			t.Errorf("%+v: %s, named: %v", c, got, named)
		}
	}
}
