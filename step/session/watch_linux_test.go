package session_test

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/with-creds/with-creds/step/session"
)

// sleeper is a process with an argument of its own.
func sleeper(t *testing.T, argument string) *exec.Cmd {
	t.Helper()
	c := exec.Command("sh", "-c", "while :; do sleep 1; done", filepath.Join("/opt/agent", argument))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return c
}

func TestAgentIsTheOneProcessWithSuchAnArgument(t *testing.T) {
	name := rand.Text() + ".jar"
	if pid := session.Agent([]string{name}); pid != 0 {
		t.Errorf("%d is taken for one that is not there", pid)
	}
	agent := sleeper(t, name)
	for deadline := time.Now().Add(30 * time.Second); session.Agent([]string{"other", name}) != agent.Process.Pid; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the agent is not found")
		}
	}
	second := sleeper(t, name)
	for deadline := time.Now().Add(30 * time.Second); session.Agent([]string{name}) != 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("one of two (%d and %d) is chosen", agent.Process.Pid, second.Process.Pid)
		}
	}
	if session.Agent(nil) != 0 {
		t.Error("one was found without a name")
	}
}

func TestAncestorIsTheNearestOfThatName(t *testing.T) {
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	own := string(comm[:len(comm)-1])
	if pid := session.Ancestor(os.Getpid(), []string{own}); pid != os.Getpid() {
		t.Errorf("%d, want this process", pid)
	}
	if pid := session.Ancestor(os.Getpid(), []string{rand.Text()}); pid != 0 {
		t.Errorf("%d has a name that nothing has", pid)
	}
}

func TestWatchTellsOnceThatAProcessHasEnded(t *testing.T) {
	c := sleeper(t, "watched")
	ended := make(chan struct{}, 2)
	if err := session.Watch(c.Process.Pid, func() { ended <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		t.Fatal("it has not ended")
	case <-time.After(50 * time.Millisecond):
	}
	_ = c.Process.Kill()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("its end was not told within a minute")
	}
	if err := session.Watch(1<<22+7, func() {}); err == nil {
		t.Error("a process that is not there is watched")
	}
}
