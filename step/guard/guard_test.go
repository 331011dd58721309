//go:build linux

package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// TestMain makes the test binary a guard, and a run that has one, when it is called so.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 3 && os.Args[1] == Arg:
		if err := Serve(os.NewFile(3, "guard"), map[string]providers.Provider{"diary": diary{}}); err != nil {
			os.Exit(1)
		}
	case len(os.Args) == 4 && os.Args[1] == "run":
		pretendRun(os.Args[2], os.Args[3])
	default:
		os.Exit(m.Run())
	}
}

// diary is a provider whose sessions write what they do into a file: the handoff's data is its path.
type diary struct{}

func (diary) Check(providers.Request) error { return nil }
func (diary) SecretEnv() []string           { return nil }
func (diary) Open(context.Context, providers.Settings) (providers.Session, error) {
	return nil, errors.New("not in these tests")
}

func (diary) Resume(h providers.Handoff, _ providers.Settings) (providers.Session, error) {
	var path string
	err := json.Unmarshal(h.Data, &path)
	return diarySession{path}, err
}

type diarySession struct{ path string }

func (d diarySession) note(format string, args ...any) {
	f, err := os.OpenFile(d.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		fmt.Fprintf(f, format+" "+strconv.FormatInt(time.Now().UnixMicro(), 10)+"\n", args...)
		f.Close()
	}
}

func (d diarySession) Issue(context.Context, providers.Request) (providers.Credential, error) {
	return providers.Credential{}, errors.New("not in these tests")
}

func (d diarySession) Renew(context.Context, providers.Lease, time.Duration) (providers.Lease, error) {
	return providers.Lease{}, errors.New("not in these tests")
}

func (d diarySession) Revoke(_ context.Context, l providers.Lease) (providers.Proof, error) {
	d.note("revoke %s", l.ID)
	if l.ID == "lasting" {
		return providers.Failed, providers.Final(errors.New("it cannot be revoked"))
	}
	return providers.Proven, nil
}

func (d diarySession) Own() *providers.Lease      { return &providers.Lease{Provider: "diary", ID: "login"} }
func (d diarySession) Handoff() providers.Handoff { return handoff(d.path) }
func (d diarySession) Close(context.Context) (providers.Proof, error) {
	d.note("close")
	return providers.Proven, nil
}

func (d diarySession) Settle(_ context.Context, n int) ([]providers.Lease, error) {
	d.note("settle-%d", n)
	return nil, nil
}

func handoff(path string) providers.Handoff {
	data, _ := json.Marshal(path)
	return providers.Handoff{Provider: "diary", Data: data}
}

// pretendRun is a run that holds three leases and a command, and then does nothing more.
func pretendRun(dir, journal string) {
	g, err := Start(Options{Run: "testrun", Journal: journal})
	if err != nil {
		panic(err)
	}
	g.Session("diary-1", handoff(filepath.Join(dir, "diary")), nil)
	for _, id := range []string{"a", "b", "c"} {
		g.Lease(providers.Lease{Session: "diary-1", Provider: "diary", ID: id, Expires: time.Now().Add(time.Minute)})
	}
	g.Gone(providers.Lease{Provider: "diary", ID: "b"})
	g.Pending("diary-1", 1)
	command := exec.Command("sh", "-c", `setsid sleep 300 & (sleep 300 & exec setsid sh -c 'sleep 300 & sleep 300') & sleep 300`)
	command.Env = append(os.Environ(), RunVariable+"=testrun", "WHERE="+dir)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		panic(err)
	}
	g.Command(Command{PID: command.Process.Pid, Group: command.Process.Pid, Start: startTime(command.Process.Pid)})
	g.Flush(5 * time.Second)
	fmt.Println(g.process.Pid)
	select {}
}

// started runs pretendRun in a process of its own and returns it with the guard's process number.
func started(t *testing.T) (run *exec.Cmd, dir string, guard int) {
	t.Helper()
	dir = t.TempDir()
	run = exec.Command(os.Args[0], "run", dir, filepath.Join(dir, "journal"))
	run.Env = append(os.Environ(), "JENKINS_NODE_COOKIE=x", "BUILD_ID=x", "RUNNER_TRACKING_ID=x", "CI_JOB_ID=x", "BUILDKITE_JOB_ID=x", "SECRET_IN_ENV="+dir)
	run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscan(out, &guard); err != nil {
		run.Process.Kill()
		run.Wait()
		t.Fatal(err)
	}
	first := guard
	t.Cleanup(func() {
		run.Process.Kill()
		run.Wait()
		ended(t, first) // it writes into dir until then
	})
	return run, dir, guard
}

// read returns the diary's words once it has the last one, and when the first was written.
func read(t *testing.T, dir string) (did []string, first time.Time) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		text, _ := os.ReadFile(filepath.Join(dir, "diary"))
		if !bytes.Contains(text, []byte("close ")) {
			continue
		}
		for line := range strings.Lines(string(text)) {
			what, when, _ := strings.Cut(strings.TrimSpace(line), " ")
			if what == "revoke" {
				id, at, _ := strings.Cut(when, " ")
				what, when = "revoke "+id, at
			}
			did = append(did, what)
			if micro, err := strconv.ParseInt(when, 10, 64); err == nil && first.IsZero() {
				first = time.UnixMicro(micro)
			}
		}
		return did, first
	}
	t.Fatal("the guard did not take over within 10 s")
	return nil, first
}

// alive lists the processes that were started for dir, by their environment.
func alive(dir string) []int {
	var pids []int
	for _, p := range processes() {
		if !p.dead && marked(p.pid, []byte("WHERE="+dir)) {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

func gone(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%s: still there after 5 s", what)
			return
		}
	}
}

// ended waits for a guard's end, not for its parent to take note of it: in a container that is an init that may do so late.
func ended(t *testing.T, guard int) {
	t.Helper()
	gone(t, "the guard", func() bool { p, ok := readProcess(guard); return !ok || p.dead })
}

func TestGuardTakesOverWhateverKillsTheRun(t *testing.T) {
	ways := map[string]func(run *exec.Cmd, guard int){
		"killed":                func(run *exec.Cmd, _ int) { run.Process.Kill() },
		"killed with its group": func(run *exec.Cmd, _ int) { syscall.Kill(-run.Process.Pid, syscall.SIGKILL) },
		"stopped, then killed": func(run *exec.Cmd, _ int) {
			run.Process.Signal(syscall.SIGSTOP)
			time.Sleep(50 * time.Millisecond)
			run.Process.Kill()
		},
		"by a CI's cookie":       func(run *exec.Cmd, _ int) { killByCookie(run.Process.Pid) },
		"after signals at guard": func(run *exec.Cmd, guard int) { signalAll(guard); run.Process.Kill() },
	}
	for name, kill := range ways {
		t.Run(name, func(t *testing.T) {
			run, dir, guard := started(t)
			killed := time.Now()
			kill(run, guard)
			run.Wait()
			did, first := read(t, dir)
			if want := []string{"close", "revoke a", "revoke c", "settle-1"}; !slices.Equal(slices.Sorted(slices.Values(did)), want) {
				t.Errorf("did %v; want %v", did, want)
			}
			if did[len(did)-1] != "close" {
				t.Errorf("order %v; want the login closed last", did)
			}
			t.Logf("took over %s after the kill", first.Sub(killed).Round(100*time.Microsecond))
			gone(t, "the command's processes", func() bool { return len(alive(dir)) == 0 })
			ended(t, guard)
			gone(t, "the journal", func() bool { all, _ := os.ReadDir(filepath.Join(dir, "journal")); return len(all) == 0 })
		})
	}
}

// killByCookie kills as CI agents do: every process with the job's cookie in its environment.
func killByCookie(self int) {
	for _, cookie := range []string{"JENKINS_NODE_COOKIE=x", "BUILD_ID=x", "RUNNER_TRACKING_ID=x", "CI_JOB_ID=x", "BUILDKITE_JOB_ID=x"} {
		for _, p := range processes() {
			if (p.group == self || p.parent == self) && marked(p.pid, []byte(cookie)) {
				syscall.Kill(p.pid, syscall.SIGKILL)
			}
		}
	}
}

func signalAll(pid int) {
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGALRM} {
		syscall.Kill(pid, s)
	}
	time.Sleep(20 * time.Millisecond)
}

func TestGuardHasNothingOfItsParents(t *testing.T) {
	_, dir, guard := started(t)
	env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", guard))
	argv, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", guard))
	for _, s := range []string{dir, "JENKINS", "BUILD_ID", "TRACKING", "CI_JOB", "diary"} {
		if bytes.Contains(env, []byte(s)) || bytes.Contains(argv, []byte(s)) {
			t.Errorf("%q is in its environment %q or arguments %q", s, env, argv)
		}
	}
	for fd := range 3 {
		if to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", guard, fd)); to != os.DevNull {
			t.Errorf("descriptor %d is %s", fd, to)
		}
	}
	if sid, _ := syscall.Getpgid(guard); sid != guard {
		t.Errorf("its group is %d, not its own", sid)
	}
	if to, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", guard)); to != "/" {
		t.Errorf("works in %s", to)
	}
}

func TestGuardIsReplacedWhenLost(t *testing.T) {
	run, dir, guard := started(t)
	for range 3 {
		syscall.Kill(guard, syscall.SIGKILL)
		var next int
		gone(t, "the lost guard", func() bool {
			for _, p := range processes() {
				argv, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
				if p.parent == run.Process.Pid && p.pid != guard && bytes.Contains(argv, []byte("\x00"+Arg+"\x00testrun")) {
					next = p.pid
				}
			}
			return next != 0
		})
		guard = next
	}
	time.Sleep(50 * time.Millisecond)
	run.Process.Kill()
	run.Wait()
	did, _ := read(t, dir)
	if want := []string{"close", "revoke a", "revoke c", "settle-1"}; !slices.Equal(slices.Sorted(slices.Values(did)), want) {
		t.Errorf("the fourth guard did %v; want %v: it must have been told all", did, want)
	}
}

func TestGuardThatIsToldDoneDoesNothing(t *testing.T) {
	dir := t.TempDir()
	g, err := Start(Options{Run: "r", Journal: filepath.Join(dir, "journal")})
	if err != nil {
		t.Fatal(err)
	}
	g.Session("diary-1", handoff(filepath.Join(dir, "diary")), nil)
	g.Lease(providers.Lease{Session: "diary-1", Provider: "diary", ID: "a"})
	if !g.Flush(5 * time.Second) {
		t.Error("not acknowledged")
	}
	if all, _ := os.ReadDir(filepath.Join(dir, "journal")); len(all) != 1 {
		t.Errorf("journals: %v", all)
	}
	g.Done()
	g.process.Wait()
	if _, err := os.Stat(filepath.Join(dir, "diary")); err == nil {
		t.Error("it revoked")
	}
	if all, _ := os.ReadDir(filepath.Join(dir, "journal")); len(all) != 0 {
		t.Errorf("journals: %v", all)
	}
}

func TestAGuardThatTookOverWhenAllWasGoneRemovesTheLostOnesJournal(t *testing.T) {
	journal := filepath.Join(t.TempDir(), "journal")
	g, err := Start(Options{Run: "r", Journal: journal})
	if err != nil {
		t.Fatal(err)
	}
	l := providers.Lease{Session: "diary-1", Provider: "diary", ID: "a"}
	g.Session("diary-1", handoff("unused"), nil)
	g.Lease(l)
	g.Gone(l)
	g.Closed("diary-1")
	if !g.Flush(30 * time.Second) {
		t.Fatal("not acknowledged")
	}
	lost := g.process
	lost.Kill()
	next := lost
	gone(t, "the lost guard", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		next = g.process
		return next != lost
	})
	g.Done()
	next.Wait()
	if all, _ := os.ReadDir(journal); len(all) != 0 {
		t.Errorf("journals: %v", all)
	}
}

func TestAGuardThatGivesUpSaysWhyInItsJournal(t *testing.T) {
	dir := t.TempDir()
	for why, c := range map[string]struct {
		handoff providers.Handoff
		lease   string
	}{
		`guard: no provider \"nobody\"`:        {providers.Handoff{Provider: "nobody", Data: []byte("null")}, "a"},
		"guard: lasting: it cannot be revoked": {handoff(filepath.Join(dir, "diary")), "lasting"},
	} {
		journal := filepath.Join(dir, c.lease)
		g, err := Start(Options{Run: "r", Journal: journal})
		if err != nil {
			t.Fatal(err)
		}
		g.Session("p-1", c.handoff, nil)
		g.Lease(providers.Lease{Session: "p-1", Provider: c.handoff.Provider, ID: c.lease})
		g.Leave()
		g.process.Wait()
		text, err := os.ReadFile(filepath.Join(journal, "r"+journalSuffix))
		if err != nil || !bytes.Contains(text, []byte(`"failed":"`+why+`"`)) {
			t.Errorf("the journal: %s, %v", text, err)
		}
	}
}

func TestAGuardIsLostTooOftenWhenThatWasLately(t *testing.T) {
	began := time.Now()
	for name, c := range map[string]struct {
		every time.Duration
		times int
		want  bool
	}{
		"ten at once":              {0, 10, false},
		"eleven at once":           {0, 11, true},
		"eleven in ten minutes":    {time.Minute, 11, true},
		"one an hour, for a week":  {time.Hour, 7 * 24, false},
		"one every other minute":   {2 * time.Minute, 100, false},
		"one in half a minute":     {30 * time.Second, 100, true},
		"one, which is no pattern": {0, 1, false},
	} {
		var l losses
		tooMany := false
		for i := range c.times {
			tooMany = l.another(began.Add(time.Duration(i) * c.every))
		}
		if tooMany != c.want {
			t.Errorf("%s: too often is %v", name, tooMany)
		}
	}
}

func TestAStoppedGuardDoesNotHoldUpTheRun(t *testing.T) {
	g, err := Start(Options{Run: "r"})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Done()
	g.Flush(5 * time.Second)
	syscall.Kill(g.process.Pid, syscall.SIGSTOP)
	began := time.Now()
	for i := range 3000 { // more than a socket's buffer holds
		g.Lease(providers.Lease{Provider: "diary", ID: strconv.Itoa(i)})
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
	if !g.Flush(5 * time.Second) {
		t.Error("no guard has all")
	}
}

func TestJournalsThatAreCutOrForeign(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(dir, "run1", nil)
	l := func(id string) *providers.Lease { return &providers.Lease{Provider: "p", ID: id, Session: "p-1"} }
	j.note(message{Session: &session{ID: "p-1", Handoff: providers.Handoff{Origin: "there"}, Own: l("login")}})
	for _, id := range []string{"a", "b", "c"} {
		j.note(message{Lease: l(id)})
	}
	j.note(message{Gone: l("b").Key()})
	j.flush()
	whole, err := os.ReadFile(filepath.Join(dir, "run1.journal"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(whole, []byte(`"data"`)) {
		t.Error("a handoff is in the journal")
	}
	cut := filepath.Join(dir, "cut.journal")
	firstLine := bytes.IndexByte(whole, '\n')
	for n := range len(whole) + 1 {
		if err := os.WriteFile(cut, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Read(cut)
		switch {
		case n > 0 && n < firstLine && err == nil:
			t.Fatalf("cut at %d: a first line cut short was taken for a journal", n)
		case n > firstLine && err != nil:
			t.Fatalf("cut at %d: %v", n, err)
		}
		for _, known := range r.Leases {
			if !slices.Contains([]string{"a", "b", "c", "login"}, known.ID) {
				t.Fatalf("cut at %d: lease %q from nowhere", n, known.ID)
			}
		}
	}
	os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("hello"), 0o600)
	os.WriteFile(filepath.Join(dir, "foreign.journal"), []byte("{}\n"), 0o600)
	os.Symlink(cut, filepath.Join(dir, "link.journal"))
	os.WriteFile(filepath.Join(dir, "line.journal"), bytes.Repeat([]byte("x"), 2<<20), 0o600)
	os.WriteFile(filepath.Join(dir, "long.journal"), append(slices.Clip(whole), bytes.Repeat([]byte("x"), 2<<20)...), 0o600)
	all, skipped, err := Remnants(dir)
	said := fmt.Sprint(skipped)
	for _, why := range []string{
		"link.journal: not a journal of with-creds: it is a link", "line.journal: not a journal of with-creds: a line of it is longer than any of theirs",
		"long.journal: not a journal of with-creds: a line of it",
	} {
		if !strings.Contains(said, why) {
			t.Errorf("skipped: %s: it does not say %q", said, why)
		}
	}
	if len(all) != 2 || len(skipped) != 5 || err != nil {
		t.Errorf("%d journals, %q, %v", len(all), skipped, err)
	}
	r := all[slices.IndexFunc(all, func(r Remnant) bool { return r.Run == "run1" })]
	var ids []string
	for _, l := range r.Leases {
		ids = append(ids, l.ID)
	}
	if !slices.Equal(ids, []string{"a", "c", "login"}) || r.Origins["p-1"] != "there" || !r.Alive {
		t.Errorf("%+v", r)
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		g, err := Start(Options{Run: "r"})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		g.Done()
		g.process.Wait()
		b.StartTimer()
	}
}
