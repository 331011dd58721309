//go:build !windows

package harness

import (
	"crypto/rand"
	"os"
	"sync"
)

// A template is a data directory that a server's own tool made, once in a test binary, and its administrator's password. Unpacking it takes
// a sixth of the time.
type template struct {
	once     sync.Once
	archive  archive
	password string
	err      error
}

// unpack makes the daemon's directory data, and returns the administrator's password. The first call has the template installed.
func (f *template) unpack(d *daemon, install func(data, password string) error) (password string) {
	d.t.Helper()
	f.once.Do(func() {
		data := d.path("template")
		defer os.RemoveAll(data)
		f.password = rand.Text()
		if f.err = install(data, f.password); f.err == nil {
			f.archive, f.err = pack(data, serverRoot())
		}
	})
	if f.err != nil {
		d.t.Fatal(f.err)
	}
	if err := f.archive.unpack(d.path("data"), d.own); err != nil {
		d.t.Fatal(err)
	}
	return f.password
}
