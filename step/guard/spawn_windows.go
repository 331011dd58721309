package guard

import (
	"errors"
	"os"
)

func spawn(string, string) (*os.Process, *os.File, error) {
	return nil, nil, errors.New("there is no guard on this system")
}
