package step

import (
	"context"
	"os"
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
