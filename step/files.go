package step

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/with-creds/with-creds/step/bind"
)

// envFileName is the env file's name in the run's private directory: no variable's, so that no binding's file has it.
const envFileName = "with-creds.env"

// placeFiles puts what is bound to files into a private directory, and with --env-file the variables into theirs. The guard knows of each place before
// anything is in it.
func (r *run) placeFiles() error {
	if anyFile(r.values()) || r.EnvFile == "auto" {
		if _, err := r.privateDir(); err != nil {
			return err
		}
	}
	for _, c := range r.issued {
		if !anyFile(c.values) {
			continue
		}
		c.values = r.dir.Place(c.values)
		for _, v := range c.values {
			if v.File {
				if err := r.dir.Write(v); err != nil {
					return err
				}
			}
		}
	}
	return r.placeEnvFile()
}

// privateDir makes the run's private directory when it is first needed, and returns its path.
func (r *run) privateDir() (string, error) { return r.makeDir(r.Log.Warn) }

// makeDir is privateDir, which is told of a place that is not in RAM: of no interest where nothing secret will be.
func (r *run) makeDir(warn func(format string, args ...any)) (string, error) {
	if r.dir == nil {
		dir, err := bind.NewDir(bind.Places(r.lookupEnv, r.Temp), warn, r.guard.Dir)
		if err != nil {
			return "", err
		}
		r.dir = dir
	}
	return r.dir.Path(), nil
}

// checkEnvFile refuses an --env-file that could not be written, or not with what is asked for.
func (r *run) checkEnvFile() error {
	if r.EnvFile == "" {
		return nil
	}
	if err := bind.CheckEnvFile(r.Specs, r.Bind); err != nil {
		return fmt.Errorf("--env-file: %w", err)
	}
	return r.envFileIsFree()
}

// envFileIsFree refuses an --env-file that is there already, which the run would remove in the end, and one that has no place.
func (r *run) envFileIsFree() error {
	if r.EnvFile == "auto" {
		return nil
	}
	if os.IsPathSeparator(r.EnvFile[len(r.EnvFile)-1]) {
		return fmt.Errorf("--env-file: %s names a directory; name the file", r.EnvFile)
	}
	if _, err := os.Lstat(r.EnvFile); err == nil {
		return fmt.Errorf("--env-file: %s is there already; it would be removed when the command ends", r.EnvFile)
	}
	dir := filepath.Dir(r.EnvFile)
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory", dir)
	}
	if err != nil {
		return fmt.Errorf("--env-file: %s has no place: %w", r.EnvFile, err)
	}
	return nil
}

// placeEnvFile writes the variables where --env-file says. Only what was written here is the run's to remove.
func (r *run) placeEnvFile() error {
	if r.EnvFile == "" {
		return nil
	}
	text, err := bind.EnvFile(r.values())
	if err != nil {
		return fmt.Errorf("--env-file: %w", err)
	}
	if r.EnvFile == "auto" {
		r.envFile = filepath.Join(r.dir.Path(), envFileName)
		r.envNext = bind.Beside(r.envFile)
		return bind.WritePrivate(r.envFile, text)
	}
	path, err := filepath.Abs(r.EnvFile)
	if err != nil {
		return fmt.Errorf("--env-file: %w", err)
	}
	if err := r.envFileIsFree(); err != nil { // somebody may have made it meanwhile
		return err
	}
	next := bind.Beside(path)
	r.guard.File(path)
	r.guard.File(next)
	if err := bind.WritePrivate(path, text); err != nil {
		return fmt.Errorf("--env-file: %w", err)
	}
	r.envFile, r.envNext = path, next
	return nil
}

// rewriteFiles puts a credential's fresh values into its files, and into the env file. That is judged before anything is written.
func (r *run) rewriteFiles(c *issued, values []bind.Value) error {
	text := ""
	if r.envFile != "" {
		var err error
		if text, err = bind.EnvFile(r.valuesWith(c, values)); err != nil {
			return unbindable{err}
		}
	}
	var next bind.Replacement
	defer next.Drop() //nolint:errcheck // what is left there goes with the directory, or by the guard
	for _, v := range values {
		if v.File {
			if err := next.File(r.dir, v); err != nil {
				return fmt.Errorf("rewriting the file of %s: %w", v.Name, err)
			}
		}
	}
	if r.envFile != "" {
		if err := next.Private(r.envFile, r.envNext, text); err != nil {
			return fmt.Errorf("rewriting the env file: %w", err)
		}
	}
	return next.Do()
}

// removeFiles takes away what placeFiles made. What cannot be removed is told; the guard tries again.
func (r *run) removeFiles() {
	var errs []error
	switch {
	case r.dir == nil:
	case r.held:
		errs = append(errs, r.dir.Empty(r.Hold.Keep...))
	default:
		errs = append(errs, r.dir.Remove())
	}
	if r.envFile != "" {
		if err := os.Remove(r.envFile); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
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
