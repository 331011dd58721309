package session

import "time"

// pollEvery is how often a process is looked at where the system does not tell of its end.
const pollEvery = time.Second

// poll calls ended, once, when a process is alive no longer.
func poll(alive func() bool, ended func()) {
	for alive() {
		time.Sleep(pollEvery)
	}
	ended()
}

// WatchAgent is Watch of a CI's agent, which comes back: ended is called when it has ended and there is none in its place within that time. One that takes
// its place is watched in turn.
func WatchAgent(pid int, names []string, away time.Duration, ended func()) error {
	return Watch(pid, func() {
		for began := time.Now(); time.Since(began) < away; time.Sleep(pollEvery) {
			if next := Agent(names); next != 0 && WatchAgent(next, names, away, ended) == nil {
				return
			}
		}
		ended()
	})
}
