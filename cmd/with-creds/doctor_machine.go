package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/with-creds/with-creds/pipelines"
	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/guard"
)

// examineMachine looks at what this machine gives: the guard, the journal, a place for private files. What it makes to see that it can be made, it
// removes.
func (w *world) examineMachine(ci *pipelines.Job) []providers.Finding {
	env := environment(w.env)
	found := append([]providers.Finding{examineGuard()}, examineJournal(journalDir(env))...)
	found = append(found, examineFiles(env, ci.Temp()))
	if swap, err := os.ReadFile("/proc/swaps"); err == nil && strings.Count(strings.TrimSpace(string(swap)), "\n") > 0 {
		found = append(found, providers.Finding{
			Level: providers.Warn, Promise: "P3", Says: "swap is on: what is in memory, private files too, may be written to a disk", Fix: "encrypt it, or swapoff --all",
		})
	}
	if where := container(env); where != "" {
		found = append(found, providers.Finding{
			Level: providers.OK, Promise: "P2", Says: "this is a container (" + where + "): who ends it as a whole ends the guard too, and the leash is what remains",
		})
	}
	if runtime.GOOS != "linux" {
		found = append(found, providers.Finding{
			Level: providers.Warn, Promise: "P2", Says: "on " + runtime.GOOS + " a process that left the command's process group is not found when the run ends", Fix: "run it on Linux",
		})
	}
	return found
}

// examineGuard starts one and dismisses it.
func examineGuard() providers.Finding {
	began := time.Now()
	g, err := guard.Start(guard.Options{Run: "doctor"})
	if err == nil && !g.Flush(10*time.Second) {
		err = errors.New("it does not answer")
	}
	g.Done()
	if err != nil {
		return providers.Finding{Level: providers.Fail, Promise: "P2", Says: fmt.Sprintf("there is no guard (%v): of a killed run credentials end with the leash only", err), Fix: "let with-creds start itself: it must be executable here, and more processes allowed (ulimit -u)"}
	}
	return providers.Finding{Level: providers.OK, Promise: "P2", Says: fmt.Sprintf("the guard answers %v after its start", time.Since(began).Round(100*time.Microsecond))}
}

// examineJournal looks whether a journal can be kept, and whether there are any that nobody works on.
func examineJournal(dir string) []providers.Finding {
	unkept := func(err error) []providers.Finding {
		return []providers.Finding{{
			Level: providers.Warn, Promise: "P2", Says: fmt.Sprintf("no journal can be kept (%v): after a power cut sweep finds nothing", err), Fix: "set XDG_STATE_HOME to a directory on a disk",
		}}
	}
	if dir == "" {
		return unkept(errors.New("neither XDG_STATE_HOME nor HOME is set"))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return unkept(err)
	}
	probe, err := os.CreateTemp(filepath.Dir(dir), ".doctor-")
	if err != nil {
		return unkept(err)
	}
	probe.Close()
	if err := os.Remove(probe.Name()); err != nil {
		return unkept(err)
	}
	found := []providers.Finding{{Level: providers.OK, Promise: "P2", Says: "journals are kept in " + dir}}
	remnants, skipped, err := guard.Remnants(dir)
	left := 0
	for _, r := range remnants {
		if !r.Alive {
			left++
		}
	}
	switch {
	case err != nil:
		found = append(found, providers.Finding{Level: providers.Warn, Says: err.Error(), Fix: "make " + dir + " one's own, with mode 0700"})
	case left > 0:
		found = append(found, providers.Finding{
			Level: providers.Warn, Promise: "P2", Says: fmt.Sprintf("%d run%s not come to an end, and left a journal", left, plural(left, " has", "s have")), Fix: "with-creds sweep",
		})
	case len(skipped) > 0:
		found = append(found, providers.Finding{Level: providers.Warn, Says: fmt.Sprintf("%v", skipped[0]), Fix: "look at it, and remove it"})
	}
	return found
}

// examineFiles makes a private directory and removes it.
func examineFiles(env map[string]string, temp string) providers.Finding {
	var warned string
	lookup := func(name string) (string, bool) { v := env[name]; return v, v != "" }
	dir, err := bind.NewDir(bind.Places(lookup, temp), func(format string, args ...any) { warned = fmt.Sprintf(format, args...) }, nil)
	if err != nil {
		return providers.Finding{Level: providers.Fail, Promise: "P3", Says: err.Error(), Fix: "mount a tmpfs and name it in XDG_RUNTIME_DIR"}
	}
	place := filepath.Dir(dir.Path())
	if err := dir.Remove(); err != nil {
		return providers.Finding{Level: providers.Fail, Promise: "P3", Says: err.Error(), Fix: "remove " + place + "'s with-creds-*, as who owns it"}
	}
	if warned != "" {
		says, fix, _ := strings.Cut(warned, "; ")
		return providers.Finding{Level: providers.Warn, Promise: "P3", Says: says, Fix: fix}
	}
	return providers.Finding{Level: providers.OK, Promise: "P3", Says: "private files go to " + place + ", which is in RAM"}
}

// container names the kind of container this is; "" for none that is known.
func container(env map[string]string) string {
	if env["KUBERNETES_SERVICE_HOST"] != "" {
		return "Kubernetes"
	}
	for path, name := range map[string]string{"/.dockerenv": "Docker", "/run/.containerenv": "Podman"} {
		if _, err := os.Stat(path); err == nil {
			return name
		}
	}
	return ""
}
