package providers

import "context"

// An Examiner is a Session that can say what a run's promises rest on at its server.
type Examiner interface {
	// Examine looks at the server, at the login and at what it may do for these requests. It issues nothing and changes nothing.
	Examine(ctx context.Context, requests []Request) []Finding
}

// A Finding is one thing that somebody who is about to rely on with-creds should know.
type Finding struct {
	Level   Level  `json:"level"`
	Promise string `json:"promise,omitempty"` // the promise that it is about, "P1" to "P5"; empty: none, or all
	Says    string `json:"says"`
	Fix     string `json:"fix,omitempty"` // the one thing to do; empty where nothing has to be done
}

// A Level says how bad a finding is.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Warn Level = "warn" // runs work; a promise rests on less than it could
	Fail Level = "fail" // a run would fail, or a promise would not be kept
)
