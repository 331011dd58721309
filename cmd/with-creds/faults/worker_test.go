//go:build linux

package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// workerVariable makes this test binary the wrapped command: one that lives long, reads its credential from a file each time it needs it, and logs in to PostgreSQL every
// 300 ms, for as long as the variable says.
const workerVariable = "FAULTS_WORKER"

// databaseVariable is where the worker finds PostgreSQL, as host:port.
const databaseVariable = "FAULTS_DATABASE"

// A workReport is what a worker writes when it is done.
type workReport struct {
	Logins  int
	Users   []string // in the order in which they were seen
	Failed  []string // what was in the file when it failed, and still was afterwards
	HangUps int64    // SIGHUPs
}

func work() int {
	lifetime, err := time.ParseDuration(os.Getenv(workerVariable))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	var hangUps atomic.Int64
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		for range signals {
			hangUps.Add(1)
		}
	}()
	var report workReport
	for end := time.Now().Add(lifetime); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		report.logIn()
	}
	report.HangUps = hangUps.Load()
	text, err := json.Marshal(report)
	if err == nil {
		err = os.WriteFile("report.json", text, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return 0
}

// logIn reads the file and uses what it says. A failure counts when the file says the same afterwards: otherwise it was replaced meanwhile, which on a machine that stood still
// may be long ago.
func (w *workReport) logIn() {
	said := readLogin()
	user, password, _ := strings.Cut(said, " ")
	err := tryLogin(user, password)
	switch {
	case err == nil:
		w.Logins++
		if len(w.Users) == 0 || w.Users[len(w.Users)-1] != user {
			w.Users = append(w.Users, user)
		}
	case readLogin() == said:
		w.Failed = append(w.Failed, fmt.Sprintf("%s %s: %v", time.Now().Format(time.TimeOnly), user, err))
	}
}

func readLogin() string {
	text, err := os.ReadFile(os.Getenv("LOGIN"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func tryLogin(user, password string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, fmt.Sprintf("postgres://%s:%s@%s/app?sslmode=disable", user, password, os.Getenv(databaseVariable)))
	if err != nil {
		return err
	}
	return c.Close(ctx)
}
