package providers

import (
	"errors"
	"strings"
)

// An Adviser is an error that says apart what is to be done. Its text ends with that.
type Adviser interface {
	error
	Advice() string // "": nothing is known
}

// Advice cuts an error's text into what it says and what is to be done, where an Adviser is in it.
func Advice(err error) (says, fix string) {
	says = err.Error()
	adviser, ok := errors.AsType[Adviser](err)
	if !ok {
		return says, ""
	}
	fix = strings.TrimLeft(adviser.Advice(), ": ")
	if i := strings.LastIndex(says, fix); fix != "" && i > 0 {
		says = strings.TrimRight(says[:i], " :(")
	}
	return says, fix
}
