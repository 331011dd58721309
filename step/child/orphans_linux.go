package child

import (
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A brood is what the command started: all its descendants. This process is made their subreaper (prctl(2),
// PR_SET_CHILD_SUBREAPER), so that those whose parent ends become its own children, and can be found and reaped,
// whatever sessions and groups they have made.
type brood struct {
	self, group int
	before      map[int]uint64 // children that were there before the command, by number and start: none of the command's
	own         []int          // the command and the terminal's monitor: waited for elsewhere
	o           Options        // Spare, Starting and Lasts

	told map[int]uint64 // who has been asked to end or killed, by number and start
}

// giveUp is how long after SIGKILL a process is waited for: one that is stuck in the kernel does not end.
const giveUp = 2 * time.Second

func newBrood(o Options) (*brood, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, err
	}
	b := &brood{self: os.Getpid(), group: unix.Getpgrp(), before: map[int]uint64{}, o: o, told: map[int]uint64{}}
	for _, pid := range childrenOf(b.self) {
		if p, err := lookAt(pid); err == nil {
			b.before[pid] = p.start
		}
	}
	return b, nil
}

// orphans are the children of this process that the command left to it.
//
// What this program starts itself is not among them: it was there before, is in this process's own group (as all that
// os/exec starts unless told otherwise), or is spared by name. The command is always given another group.
func (b *brood) orphans() []process {
	defer b.o.looking()()
	var found []process
	for _, p := range processesOf(childrenOf(b.self)) {
		pid := p.pid
		if slices.Contains(b.own, pid) || p.group == b.group {
			continue
		}
		if start, ok := b.before[pid]; ok && start == p.start {
			continue
		}
		if !b.o.spared(pid) {
			found = append(found, p)
		}
	}
	return found
}

// reap buries orphans that have ended.
func (b *brood) reap() {
	for _, p := range b.orphans() {
		if p.ended() {
			reap(p.pid)
		}
	}
}

// all lists what the command started and still runs, the command itself not included. That nobody is left may be believed only if the
// list is settled: one who ended while it was made may have left another to this process, whose children had been listed already. Those that last are not in
// the list, and while one is there it is not settled.
func (b *brood) all() (alive []process, settled bool) {
	settled = true
	seen := map[int]bool{}
	queue := b.orphans()
	for _, pid := range b.own {
		queue = append(queue, processesOf(childrenOf(pid))...)
	}
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		if seen[p.pid] || slices.Contains(b.own, p.pid) {
			continue
		}
		seen[p.pid] = true
		switch {
		case p.ended():
			settled = false
		case b.o.lasts(p.pid):
			settled = false
			continue
		default:
			alive = append(alive, p)
		}
		queue = append(queue, processesOf(childrenOf(p.pid))...)
	}
	return alive, settled
}

// processesOf looks at processes. One that is gone by now counts as ended; another user's that may not be looked at (hidepid, proc(5)) is left out.
func processesOf(pids []int) []process {
	var all []process
	for _, pid := range pids {
		p, err := lookAt(pid)
		if err != nil {
			if errors.Is(unix.Kill(pid, 0), unix.EPERM) {
				continue
			}
			p = process{pid: pid, state: 'X'}
		}
		all = append(all, p)
	}
	return all
}

// end asks those that are left to end, each once, or kills them. It reports whether somebody may still be there who can be ended.
// It is called again and again until nobody is: between looking and signalling, a process may have started another.
func (b *brood) end(kill bool) (more bool) {
	b.reap()
	alive, settled := b.all()
	more = !settled
	for _, p := range alive {
		if start, told := b.told[p.pid]; told && start == p.start && !kill {
			more = true
			continue
		}
		var err error
		if kill {
			err = signalProcess(p, unix.SIGKILL)
		} else if err = signalProcess(p, unix.SIGTERM); err == nil {
			err = signalProcess(p, unix.SIGCONT) // one that is stopped would not hear it
		}
		if errors.Is(err, unix.EPERM) {
			continue // another user's: it does not help to ask again
		}
		b.told[p.pid] = p.start
		more = true
	}
	return more
}

// numbers lists process ids, for a message.
func numbers(ps []process) []int {
	var ids []int
	for _, p := range ps {
		ids = append(ids, p.pid)
	}
	return ids
}
