package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"unicode"

	"github.com/with-creds/with-creds/step"
	"github.com/with-creds/with-creds/step/child"
)

// newLog says with-creds' own words on stderr, which is where a person looks; stdout belongs to the command. Each is one line.
func newLog(stderr io.Writer, s settings) step.Log {
	line := func(level slog.Level) func(string, ...any) {
		return func(format string, args ...any) {
			text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")
			fmt.Fprintf(stderr, "with-creds: %s%s", harmless(text), lineEnd(stderr))
		}
	}
	if s.LogFormat == "json" {
		logger := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
		line = func(level slog.Level) func(string, ...any) {
			return func(format string, args ...any) {
				logger.Log(context.Background(), level, fmt.Sprintf(format, args...))
			}
		}
	}
	log := step.Log{Warn: line(slog.LevelWarn)}
	if !s.Quiet {
		log.Say = line(slog.LevelInfo)
	}
	if s.Verbose {
		log.Debug = line(slog.LevelDebug)
	}
	return log
}

// harmless is a text that may have names of a server's in it, without what a terminal would take for commands, or a CI for the end of a line.
func harmless(text string) string {
	text = strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	return strings.ReplaceAll(text, "\n::", "\n ::") // at the beginning of a line, where GitHub's runner looks for commands
}

// lineEnd is "\n", but on a terminal that is in raw mode while the command has its keyboard.
func lineEnd(w io.Writer) string {
	if f, ok := w.(*os.File); ok {
		return child.LineEnd(f)
	}
	return "\n"
}
