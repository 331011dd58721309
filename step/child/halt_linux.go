package child

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// halt stops this process as the kernel stops one by default, so that the shell sees a stopped job, and returns when it is
// continued. It reports false when the kernel does not stop it: nobody is there who would continue it (its group is
// orphaned, POSIX 2.4.3; or it is the init of a container).
//
// others stops the rest of the job. The shell may see that at once and continue the job while this process still runs; so the signal
// is pending here before, and a SIGCONT takes it back, as the kernel has it.
func halt(sig syscall.Signal, others func()) bool {
	// The signal must reach this very thread: then the whole process is stopped before the call returns.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, ok := setAction(sig, &action{})
	if !ok {
		others()
		return false
	}
	defer setAction(sig, before)
	var start time.Time
	_ = blocking(sig, func() error {
		_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), sig)
		others()
		start = time.Now()
		return nil
	})
	took := time.Since(start)
	return took > 50*time.Millisecond // a short stop is told by its SIGCONT
}

// blocking calls f while a signal is blocked, in this thread only: ignoring it would be inherited by a command started meanwhile.
func blocking(sig syscall.Signal, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var block, before unix.Sigset_t
	block.Val[0] |= 1 << (sig - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &block, &before); err != nil {
		return err
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) }()
	return f()
}

// An action is the kernel's struct sigaction, opaque and with room for that of every architecture. All zero is SIG_DFL.
//
// os/signal cannot set one signal's default action without undoing the caller's signal.Notify.
type action [64]byte

func setAction(sig syscall.Signal, act *action) (before *action, ok bool) {
	before = &action{}
	const setSize = 64 / 8 // of the kernel's sigset_t; MIPS alone has 128 signals, and gets EINVAL here
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(before)), setSize, 0, 0)
	return before, errno == 0
}
