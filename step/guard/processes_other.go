//go:build !linux

package guard

import (
	"os"
	"os/signal"
	"syscall"
)

const noFollow = 0

func ignoreSignals() { signal.Ignore(os.Interrupt, syscall.SIGHUP, syscall.SIGTERM) }

func startTime(int) uint64 { return 0 }

// IsGuard cannot be told without /proc.
func IsGuard(int) bool { return false }

// Running cannot be told without /proc.
func Running(string) []int { return nil }
