package session_test

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

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
	for name, prepare := range map[string]func(*testing.T){
		"held on to":                           func(*testing.T) {},
		"on a kernel without pidfd_open":       func(t *testing.T) { withoutPidfds(t, unix.ENOSYS) },
		"below a filter that does not know it": func(t *testing.T) { withoutPidfds(t, unix.EPERM) },
	} {
		t.Run(name, func(t *testing.T) {
			prepare(t)
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
			_ = c.Process.Kill() // and nobody waits for it
			select {
			case <-ended:
			case <-time.After(time.Minute):
				t.Fatal("its end was not told within a minute")
			}
			if err := session.Watch(1<<22+7, func() {}); err == nil {
				t.Error("a process that is not there is watched")
			}
		})
	}
}

// withoutPidfds lets pidfd_open fail, for the rest of the test, on its thread alone, which ends with it.
func withoutPidfds(t *testing.T, with unix.Errno) {
	t.Helper()
	runtime.LockOSThread()
	const load, equal, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	filter := []unix.SockFilter{
		{Code: load, K: 0}, // the call's number
		{Code: equal, K: unix.SYS_PIDFD_OPEN, Jf: 1},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(with)},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		t.Skipf("no filter of system calls can be set here: %v", err)
	}
}

// An agent that another takes the place of was away: the job goes on below it.
func TestWatchAgentGoesOnWithTheOneThatComesBack(t *testing.T) {
	name := rand.Text() + ".jar"
	first, second := sleeper(t, name), sleeper(t, name)
	ended := make(chan struct{}, 2)
	if err := session.WatchAgent(first.Process.Pid, []string{name}, time.Second, func() { ended <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	_ = first.Process.Kill()
	select {
	case <-ended:
		t.Fatal("it was given up, and another had taken its place")
	case <-time.After(100 * time.Millisecond):
	}
	_ = second.Process.Kill()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the end of one that does not come back was not told within a minute")
	}
}
