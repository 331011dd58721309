package step

import (
	"github.com/with-creds/with-creds/step/bind"
)

// placeFiles puts what is bound to files into a private directory, which the guard knows of before anything is in it.
func (r *run) placeFiles() error {
	if !anyFile(r.values()) {
		return nil
	}
	dir, err := bind.NewDir(bind.Places(r.lookupEnv), r.Log.Warn)
	if err != nil {
		return err
	}
	r.dir = dir
	r.guard.Dir(dir.Path())
	for _, c := range r.issued {
		c.values = dir.Place(c.values)
		for _, v := range c.values {
			if v.File {
				if err := dir.Write(v.Name, v.Value); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// removeFiles takes the private directory away. What cannot be removed is told; the guard and sweep try again.
func (r *run) removeFiles() {
	if r.dir == nil {
		return
	}
	if err := r.dir.Remove(); err != nil {
		r.Log.Warn("%v", err)
		r.left = true
	}
}

func anyFile(values []bind.Value) bool {
	for _, v := range values {
		if v.File {
			return true
		}
	}
	return false
}

// lookupEnv reads this process's environment as it was given.
func (r *run) lookupEnv(name string) (string, bool) {
	for _, nv := range r.Env {
		if len(nv) > len(name) && nv[:len(name)] == name && nv[len(name)] == '=' {
			return nv[len(name)+1:], true
		}
	}
	return "", false
}
