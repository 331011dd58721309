package step

import "sync"

// helpers are the processes that providers have started and that are still there: none of the command's. Safe for concurrent use.
type helpers struct{ pids sync.Map }

func (h *helpers) started(pid int) (ended func()) {
	h.pids.Store(pid, true)
	return func() { h.pids.Delete(pid) }
}

func (h *helpers) has(pid int) bool {
	_, there := h.pids.Load(pid)
	return there
}
