package step

import "sync"

// programs are the processes that providers have started and that are still there: none of the command's. Its lock is held while one is started and until it is known here, while
// one is struck out, and by whoever looks at this process's children and asks which of them are the command's: so no look falls between a start and its being known.
type programs struct {
	sync.Mutex
	pids map[int]bool
}

// start calls start under the lock; see providers.Settings.Starting.
func (p *programs) start(start func() (pid int, err error)) (ended func(), err error) {
	p.Lock()
	defer p.Unlock()
	pid, err := start()
	if err != nil {
		return nil, err
	}
	if p.pids == nil {
		p.pids = map[int]bool{}
	}
	p.pids[pid] = true
	return func() {
		p.Lock()
		defer p.Unlock()
		delete(p.pids, pid)
	}, nil
}

// has is called by who holds the lock.
func (p *programs) has(pid int) bool { return p.pids[pid] }
