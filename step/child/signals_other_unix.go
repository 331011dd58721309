//go:build unix && !linux

package child

import "syscall"

func realTimeSignals() []syscall.Signal { return nil }

func ignoredSignals() func(syscall.Signal) bool { return func(syscall.Signal) bool { return false } }
