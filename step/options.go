package step

import (
	"os"
	"syscall"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/guard"
	"github.com/with-creds/with-creds/step/receipt"
	"github.com/with-creds/with-creds/step/spec"
)

// Options are all that a run is made of. Everything it uses of the world comes in here.
type Options struct {
	Version   string
	Specs     []spec.Spec
	Providers map[string]providers.Provider
	Lookup    func(name string) (string, bool) // settings for the providers

	Argv                  []string
	Env                   []string // this process's environment; the command's is made of it
	Stdin, Stdout, Stderr *os.File
	Signals               <-chan os.Signal // see child.Signals

	Bind    bind.Options
	PassEnv []string // what the command may inherit although it is a secret of with-creds' own, or a preset keeps it away
	DropEnv []string // variables it may not, beside those that the providers name
	Mask    bool     // the secrets in the command's output
	MaskEnv []string // variables the command already has, whose values are masked as well
	Hold    *Hold    // instead of a command: others are given the credentials
	Lent    *Lent    // instead of specs: the credentials are another's
	// Masking returns the line that makes the CI's log filter mask a value; nil: it has none.
	Masking func(value string) (string, bool)
	Temp    string // the variable that names the CI's own temporary directory; empty: it has none

	Leash         time.Duration  // nothing that can be renewed is left with more life while the command runs; 0: what the role gives
	Grace         time.Duration  // from the first termination signal, or from the command's end for what it left behind, to SIGKILL
	IssueTimeout  time.Duration  // default 60 s
	ReadyTimeout  time.Duration  // for a service that takes a while to know a new credential; 0: none is waited for
	RevokeTimeout time.Duration  // how long revoking is retried here, before the guard goes on with it
	WarnOnly      bool           // --revoke-failure=warn
	KillOnExpiry  bool           // --on-expiry=kill
	OnRotate      syscall.Signal // 0: none
	EnvFile       string         // where the variables are written instead; "auto": a private place; empty: they are in the environment

	Guard   *guard.Options // nil: no guard
	Receipt string         // where to write it; empty: nowhere
	CI      *receipt.CI
	Log     Log
}

// Log is where a run's own words go: a line each, never a secret, from several goroutines at once. Nil functions say nothing. A run waits for
// them wherever it is, so they must not wait long for whoever reads.
type Log struct {
	Say     func(format string, args ...any) // the two lines of a run, and what it waits for
	Warn    func(format string, args ...any)
	Debug   func(format string, args ...any)
	Command func(text string) // what the CI itself is to read, as it stands: it names secrets to be masked
}

// orSilent is the log with no function nil.
func (l Log) orSilent() Log {
	silent := func(string, ...any) {}
	if l.Say == nil {
		l.Say = silent
	}
	if l.Warn == nil {
		l.Warn = silent
	}
	if l.Debug == nil {
		l.Debug = silent
	}
	if l.Command == nil {
		l.Command = func(string) {}
	}
	return l
}

// A Result is how a run ended.
type Result struct {
	Code    int // the process's exit code: the command's own, 128+n when signal n killed it, 125 to 127 as env(1) has them
	Receipt receipt.Receipt
}
