package guard

import (
	"errors"
	"os"
)

func spawn(string, string) (*os.Process, *os.File, error) {
	return nil, nil, errors.New("there is no guard on this system")
}

// Self is this very binary.
func Self() string { return selfExe }

// Spawn is not there on this system.
func Spawn(string, string, ...string) (*os.Process, *os.File, error) {
	return nil, nil, errors.New("a process that outlives its parent's end cannot be started on this system")
}

func sendWith(socket *os.File, text []byte, _ []int) error {
	_, err := socket.Write(text)
	return err
}

type reader struct{ socket *os.File }

func (r *reader) Read(p []byte) (int, error) { return r.socket.Read(p) }
func (r *reader) take() *os.File             { return nil }
