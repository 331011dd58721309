//go:build linux

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/with-creds/with-creds/testdata/harness"
)

// TestScripts runs the command line's promises as a person would type them: testdata/script, one file a behaviour. Those called postgres-… have a
// PostgreSQL with a group "app" and its administrator's login in the environment; the others have no server and no network to go to.
//
// Beside testscript's own commands there are `exits CODE program [argument …]`, which wants just that exit code, and `gone`, which wants no credential of
// a run to be left in the database.
func TestScripts(t *testing.T) {
	alone, withPostgres := scripts(t)
	t.Run("alone", func(t *testing.T) {
		t.Parallel()
		testscript.Run(t, params(alone, nil))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		pg := harness.Postgres(t)
		pg.Exec("postgres", "create role app nologin; create role other nologin")
		testscript.Run(t, params(withPostgres, pg))
	})
}

// scripts lists the files, those that want a PostgreSQL apart.
func scripts(t *testing.T) (alone, withPostgres []string) {
	t.Helper()
	all, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	wants := func(path string) bool { return strings.HasPrefix(filepath.Base(path), "postgres-") }
	for _, path := range all {
		if wants(path) {
			withPostgres = append(withPostgres, path)
		} else {
			alone = append(alone, path)
		}
	}
	if len(alone) == 0 || len(withPostgres) == 0 {
		t.Fatal("there are no scripts")
	}
	return alone, withPostgres
}

func params(files []string, pg *harness.PostgresServer) testscript.Params {
	p := testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(name string) (bool, error) {
			if name != "root" {
				return false, errors.New("there is no such condition")
			}
			return os.Geteuid() == 0, nil
		},
		Setup: func(env *testscript.Env) error {
			private, err := os.MkdirTemp("/dev/shm", "with-creds-script-") // see runtimeDir
			if err != nil {
				return err
			}
			env.Defer(func() { os.RemoveAll(private) })
			env.Setenv("XDG_RUNTIME_DIR", private)
			for name, dir := range map[string]string{"HOME": "home", "TMPDIR": "tmp"} {
				path := filepath.Join(env.WorkDir, dir)
				if err := os.Mkdir(path, 0o700); err != nil {
					return err
				}
				env.Setenv(name, path)
			}
			if pg != nil {
				for name, value := range adminEnv(pg) {
					env.Setenv(name, value)
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	}
	if pg != nil {
		p.Cmds["gone"] = func(ts *testscript.TestScript, _ bool, _ []string) { gone(ts, pg) }
	}
	return p
}

// exits runs a program and wants an exit code; what it says is there for stdout and stderr to look at.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE program [argument …]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if failure, ok := errors.AsType[*exec.ExitError](err); ok {
		got, err = failure.ExitCode(), nil
	}
	ts.Check(err)
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// gone wants neither a role of this script's runs, which it knows by their receipts, nor a private file, nor a journal, which the guard removes a moment later.
func gone(ts *testscript.TestScript, pg *harness.PostgresServer) {
	names, err := filepath.Glob(ts.MkAbs("*.json"))
	ts.Check(err)
	if len(names) == 0 {
		ts.Fatalf("no receipt to know the run by")
	}
	for _, name := range names {
		run := runOf(ts, name)
		left := slices.DeleteFunc(pg.Roles("wc_"), func(role string) bool { return !strings.Contains(role, run) })
		if len(left) > 0 {
			ts.Fatalf("roles are left: %q", left)
		}
	}
	var here []string
	if !within(cleanUpLimit, func() error {
		here = journals(ts.Getenv("HOME"))
		for _, dir := range []string{"XDG_RUNTIME_DIR", "TMPDIR"} {
			files, _ := filepath.Glob(filepath.Join(ts.Getenv(dir), "*"))
			here = append(here, files...)
		}
		if len(here) > 0 {
			return errors.New("not yet")
		}
		return nil
	}) {
		ts.Fatalf("left after %v: %q", cleanUpLimit, here)
	}
}

// runOf reads a run's id, which is a part of its roles' names, off its receipt.
func runOf(ts *testscript.TestScript, path string) string {
	text := ts.ReadFile(path)
	_, rest, found := strings.Cut(text, `"run": "`)
	id, _, _ := strings.Cut(rest, `"`)
	if !found || id == "" {
		ts.Fatalf("%s names no run", path)
	}
	return id
}
