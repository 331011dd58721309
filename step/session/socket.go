package session

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// socketName is the socket in the session's directory: no variable's name, so that no private file has it.
const socketName = "with-creds.sock"

// longestPath of a socket is taken everywhere: 103 bytes and a zero (unix(7) has 108, BSD 104).
const longestPath = 103

// atSocket calls use with the path of a session's socket. One that is too long is given on Linux by way of the open directory, whose name in /proc is short.
func atSocket(session string, use func(path string) error) error {
	path := filepath.Join(session, socketName)
	if len(path) <= longestPath || runtime.GOOS != "linux" {
		return use(path)
	}
	dir, err := os.Open(session)
	if err != nil {
		return err
	}
	defer dir.Close()
	return use(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), socketName))
}
