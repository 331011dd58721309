package step

import (
	"context"
	"os"
	"sync"
	"syscall"
)

// early listens for termination signals until there is a command to forward them to.
type early struct {
	ctx     context.Context // done when one has come
	cancel  context.CancelFunc
	signals <-chan os.Signal
	quit    chan struct{}
	once    sync.Once // closes quit
	gone    sync.WaitGroup

	mu  sync.Mutex
	sig syscall.Signal
}

func listen(signals <-chan os.Signal) *early {
	e := &early{signals: signals, quit: make(chan struct{})}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.gone.Go(func() {
		for {
			select {
			case <-e.quit:
				return
			case s := <-signals:
				switch s {
				case syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT:
					e.mu.Lock()
					e.sig = s.(syscall.Signal)
					e.mu.Unlock()
					e.cancel()
				}
			}
		}
	})
	return e
}

// caught is the termination signal that has come; 0 for none.
func (e *early) caught() syscall.Signal {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sig
}

// release stops listening and returns the channel for the command's supervision. One that came at the very last moment is in it still, or was
// caught and is sent on by the caller.
func (e *early) release() <-chan os.Signal {
	e.end()
	sig := e.caught()
	if sig == 0 {
		return e.signals
	}
	again := make(chan os.Signal, cap(e.signals)+1)
	again <- sig
	go func() {
		for s := range e.signals {
			again <- s
		}
	}()
	return again
}

// end stops listening; a second time it does nothing.
func (e *early) end() {
	e.once.Do(func() { close(e.quit) })
	e.gone.Wait()
}
