//go:build !linux

package child

// Monitor is the whole of main in a process that was started as a terminal's monitor, which there is on Linux only.
func Monitor([]string) (code int, ok bool) { return 0, false }
