package step

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/spec"
)

// A slowLogin is a source whose logins wait until answer is closed.
type slowLogin struct {
	*source
	asked, answer chan struct{}
}

func (s slowLogin) Open(ctx context.Context, set providers.Settings) (providers.Session, error) {
	close(s.asked)
	select {
	case <-s.answer:
		return s.source.Open(ctx, set)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestALoginUnderWayIsWaitedForAndEndedWhenASignalComes(t *testing.T) {
	t.Parallel()
	s := slowLogin{&source{login: func(int) time.Duration { return time.Hour }}, make(chan struct{}), make(chan struct{})}
	asked, err := spec.Parse("fake:it")
	if err != nil {
		t.Fatal(err)
	}
	signals := make(chan os.Signal, 1)
	ended := make(chan Result, 1)
	go func() {
		ended <- Run(Options{
			Providers: map[string]providers.Provider{"fake": s}, Specs: []spec.Spec{asked}, Argv: []string{"true"}, Signals: signals,
			Grace: time.Minute, RevokeTimeout: 10 * time.Second,
		})
	}()
	<-s.asked
	signals <- syscall.SIGTERM
	for len(signals) > 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond) // for what a login that is given up would do
	close(s.answer)
	r := <-ended
	if r.Code != 143 {
		t.Errorf("exit code %d", r.Code)
	}
	if len(r.Receipt.Sessions) != 1 || r.Receipt.Sessions[0].Revocation.Proof != providers.Proven {
		t.Errorf("the login is not said to be ended: %+v", r.Receipt.Sessions)
	}
}

func TestALoginThatIsNotAnsweredHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := slowLogin{&source{}, make(chan struct{}), make(chan struct{})}
	asked, err := spec.Parse("fake:it")
	if err != nil {
		t.Fatal(err)
	}
	signals := make(chan os.Signal, 1)
	ended := make(chan Result, 1)
	go func() {
		ended <- Run(Options{
			Providers: map[string]providers.Provider{"fake": s}, Specs: []spec.Spec{asked}, Argv: []string{"true"}, Signals: signals,
			Grace: time.Hour, RevokeTimeout: 10 * time.Second, IssueTimeout: time.Hour,
		})
	}()
	<-s.asked
	signals <- syscall.SIGINT
	select {
	case r := <-ended:
		if r.Code != 130 {
			t.Errorf("exit code %d", r.Code)
		}
	case <-time.After(time.Minute):
		t.Error("it waits on")
	}
}

// TestVerboseSaysWhatIsDoneAndNoSecret has a run that succeeds, and its own words of every kind.
func TestVerboseSaysWhatIsDoneAndNoSecret(t *testing.T) {
	var said strings.Builder
	var mu sync.Mutex
	debug := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&said, format+"\n", args...)
	}
	asked, err := spec.Parse("fake:it?key=private TOKEN=token")
	if err != nil {
		t.Fatal(err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r := Run(Options{
		Providers: map[string]providers.Provider{"fake": &source{life: func(int) time.Duration { return time.Hour }}}, Specs: []spec.Spec{asked},
		Argv: []string{"sh", "-c", `printf %s "$TOKEN"`}, Env: os.Environ(), Stdout: in, RevokeTimeout: 10 * time.Second, Log: Log{Debug: debug},
	})
	in.Close()
	token, err := io.ReadAll(out)
	if err != nil || r.Code != 0 || len(token) == 0 {
		t.Fatalf("exit code %d, %v", r.Code, err)
	}
	for _, want := range []string{
		"judging settings took ", "starting the guard took ", "fake: logged in at ", "logging in took ", "fake:it: asked for\n", "fake:it: answered in ", " with token; lease it-1 until ",
		"issuing credentials took ", "binding them took ", "handing them over took ", "it-1: revocation proven in ",
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, &said)
		}
	}
	if strings.Contains(said.String(), string(token)) || strings.Contains(said.String(), "private") {
		t.Errorf("it says a secret:\n%s", &said)
	}
}

func TestATimeIsToldWithItsDateWhereItIsFar(t *testing.T) {
	now := time.Now()
	if near, far := now.Add(time.Hour), now.Add(25*time.Hour); clock(near) != near.Format("15:04:05") || clock(far) != far.Format("2006-01-02 15:04:05") {
		t.Errorf("in an hour is %s, in a day and one %s", clock(near), clock(far))
	}
}
