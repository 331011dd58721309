//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

func TestTheExitCodeIsTheCommandsOwnOrSaysWhatFailed(t *testing.T) {
	pg := harness.Postgres(t)
	pg.Exec("postgres", "create role readers nologin")
	home := t.TempDir()
	touched := filepath.Join(home, "touched")
	plain := filepath.Join(home, "plain")
	if err := os.WriteFile(plain, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	good, bad := "postgres:readers as=postgres", "postgres:nosuchgroup as=postgres"
	for _, c := range []struct {
		code int
		args []string
	}{
		{0, []string{"-c", good, "--", "true"}},
		{1, []string{"-c", good, "--", "false"}},
		{7, []string{"-c", good, "--", "sh", "-c", "exit 7"}},
		{126, []string{"-c", good, "--", plain}},
		{127, []string{"-c", good, "--", "no-such-program"}},
		{143, []string{"-c", good, "--", "sh", "-c", "kill -TERM $$"}},
		{137, []string{"-c", good, "--", "sh", "-c", "kill -KILL $$"}},
		{125, []string{"-c", good, "-c", bad + " A=username", "--", "touch", touched}},
	} {
		operate(t, home, adminEnv(pg), c.args...).want(t, c.code)
		if roles := pg.Roles("wc_"); len(roles) != 0 {
			t.Errorf("%q left %q", c.args, roles)
		}
	}
	if _, err := os.Stat(touched); err == nil {
		t.Error("the command was started although the second credential could not be issued")
	}
}

func TestWhatFollowsTheFirstDashesIsTheCommandWhateverItIsCalled(t *testing.T) {
	pg := harness.Postgres(t)
	pg.Exec("postgres", "create role readers nologin")
	home := t.TempDir()
	for _, name := range []string{"doctor", "help", "plan", "version", "--help"} {
		program := filepath.Join(home, name)
		if err := os.WriteFile(program, []byte("#!/bin/sh\necho ran "+name+"; exit 9\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		env := adminEnv(pg)
		env["PATH"] = home + ":" + os.Getenv("PATH")
		operate(t, home, env, "-c", "postgres:readers as=postgres", "--", name).want(t, 9, "ran "+name)
	}
}

func TestTheTrapsOfSettingsAreClosed(t *testing.T) {
	home := t.TempDir()
	spec := "vault:database/creds/app URL='a,b,{password}'" // a comma splits nothing
	operate(t, home, map[string]string{"WITH_CREDS_LEASH": ""}, "plan", "-c", spec).want(t, 0, "URL", "leash 5m0s")
	operate(t, home, map[string]string{"WITH_CREDS_LEASH": "2m"}, "plan", "-c", spec, "--leash", "3m").want(t, 0, "leash 3m0s")
	operate(t, home, map[string]string{"WITH_CREDS": spec, "WITH_CREDS_LEASH": "2m"}, "plan").want(t, 0, "leash 2m0s")
	file := filepath.Join(home, "settings.env")
	for text, code := range map[string]int{
		"WITH_CREDS=\"\n" + spec + "\n\"\nWITH_CREDS_LEASH=4m\n": 0,
		"vault:database/creds/app as=postgres\n":                 125,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		operate(t, home, nil, "plan", "--config", file).want(t, code)
	}
	operate(t, home, nil, "-c", spec, "true").want(t, 125, "--")
	operate(t, home, nil, "plan", "-c", "vault:database/creds/app PATH=password").want(t, 125, "PATH")
}
