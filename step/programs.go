package step

import "sync"

// programs are the processes that providers have started and that are still there: none of the command's. Safe for concurrent use.
type programs struct{ pids sync.Map }

func (p *programs) started(pid int) (ended func()) {
	p.pids.Store(pid, true)
	return func() { p.pids.Delete(pid) }
}

func (p *programs) has(pid int) bool {
	_, there := p.pids.Load(pid)
	return there
}
