package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/with-creds/with-creds/step"
	"github.com/with-creds/with-creds/step/child"
)

// newLog says with-creds' own words on stderr, which is where a person looks; stdout belongs to the command. Each is one line. None waits for long to be read.
func newLog(stderr io.Writer, s settings) step.Log {
	words := &patientWriter{to: stderr}
	line := func(level slog.Level) func(string, ...any) {
		return func(format string, args ...any) {
			fmt.Fprintf(words, "with-creds: %s%s", oneLine(fmt.Sprintf(format, args...)), lineEnd(stderr))
		}
	}
	if s.LogFormat == "json" {
		logger := slog.New(slog.NewJSONHandler(words, &slog.HandlerOptions{Level: slog.LevelDebug}))
		line = func(level slog.Level) func(string, ...any) {
			return func(format string, args ...any) {
				logger.Log(context.Background(), level, fmt.Sprintf(format, args...))
			}
		}
	}
	silent := func(string, ...any) {}
	log := step.Log{Warn: line(slog.LevelWarn), Say: silent, Debug: silent, Command: func(text string) { fmt.Fprint(words, text) }}
	if !s.Quiet {
		log.Say = line(slog.LevelInfo)
	}
	if s.Verbose {
		log.Debug = line(slog.LevelDebug)
	}
	return log
}

// lineEnd is "\n", but on a terminal that is in raw mode while the command has its keyboard.
func lineEnd(w io.Writer) string {
	if f, ok := w.(*os.File); ok {
		return child.LineEnd(f)
	}
	return "\n"
}
