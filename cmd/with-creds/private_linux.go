package main

import "golang.org/x/sys/unix"

// keepPrivate closes this process to others of the same user: no ptrace, nothing of /proc/PID that shows memory, environment or open
// files, and no core dump, whatever the limits and whoever collects dumps (prctl(2), PR_SET_DUMPABLE; proc(5)). Root is not kept out.
//
// It is not inherited: a program that is executed can be dumped as before, so that the command keeps its own ways to be
// debugged. That is also why the limit of core dumps is left alone, which would be inherited. The guard and the terminal's monitor are this
// program once more and call it for themselves.
//
// It cannot fail with these arguments; were it to, the run would be no worse than others of this user's.
func keepPrivate() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
