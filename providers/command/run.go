package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// find is the program's path, as a shell would find it from the session's directory.
func (s *Session) find(program string) (string, error) {
	if strings.ContainsAny(program, `/\`) {
		if !filepath.IsAbs(program) {
			program = filepath.Join(s.with.Dir, program)
		}
		path, err := exec.LookPath(program)
		if err != nil {
			return "", providers.Refused(fmt.Errorf("running %s: %w (it must be there and executable; a path with a space goes into quotes)", program, withoutPath(err)))
		}
		return path, nil
	}
	for _, nv := range s.with.Env {
		list, ok := strings.CutPrefix(nv, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(list) {
			if !filepath.IsAbs(dir) {
				continue // as a shell would, but nobody means it
			}
			if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
				return path, nil
			}
		}
	}
	return "", providers.Refused(fmt.Errorf("there is no program %s on PATH; one in this directory is written command:./%s", program, program))
}

func withoutPath(err error) error {
	if inner, ok := errors.AsType[*exec.Error](err); ok {
		return inner.Err
	}
	return err
}

// dir is where the program of a lease runs: where it ran first, whoever asks, or here where that is gone.
func (s *Session) dir(l providers.Lease) string {
	if info, err := os.Stat(l.Scope[scopeDir]); err == nil && info.IsDir() {
		return l.Scope[scopeDir]
	}
	return s.with.Dir
}

// run runs the program of a lease once and reads its answer. It returns when the program has ended, at the latest when ctx is done.
func (s *Session) run(ctx context.Context, l providers.Lease, argv []string, q question) (answer, error) {
	s.settings.CountRequest()
	name := filepath.Base(argv[0])
	in, err := json.Marshal(q)
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.with.Timeout)
	defer cancel()
	c := exec.CommandContext(ctx, argv[0], append(argv[1:len(argv):len(argv)], q.Action)...)
	out, errOut := &limited{most: maxAnswer}, &limited{most: maxStderr}
	c.Dir, c.Env = s.dir(l), s.with.Env
	if c.Env == nil {
		c.Env = []string{} // nil is this process's own
	}
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(in), out, errOut
	c.WaitDelay = time.Second // a child of the program's that keeps its output open does not hold up the run
	release, err := s.prepare(c)
	if err != nil {
		return answer{}, fmt.Errorf("running %s: %w", name, err)
	}
	ended, err := s.settings.Start(func() (int, error) {
		if err := c.Start(); err != nil {
			return 0, err
		}
		return c.Process.Pid, nil
	})
	if err == nil {
		err = c.Wait()
		ended()
	}
	release()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}

	a, wrong := parseAnswer(out.kept.Bytes())
	hidden := s.with.Secrets
	if wrong != nil {
		hidden = append(suspects(out.kept.Bytes()), hidden...)
	}
	s.show(name, errOut, append(a.secrets(), hidden...))
	switch {
	case wrong == nil && a.Error != "":
		return answer{}, fmt.Errorf("%s %s: %w", name, q.Action, a.failed(hidden))
	case ctx.Err() != nil && err != nil:
		return answer{}, fmt.Errorf("%s %s: it was ended after %s without an answer (%s)", name, q.Action, s.with.Timeout, timeoutVariable)
	case err != nil:
		return answer{}, fmt.Errorf("%s %s: %w", name, q.Action, err)
	case out.over:
		return answer{}, fmt.Errorf("%s %s: its answer is longer than %d bytes", name, q.Action, maxAnswer)
	case wrong != nil:
		return answer{}, fmt.Errorf("%s %s: %w", name, q.Action, wrong)
	}
	return a, nil
}

// show passes on what the program said to people.
func (s *Session) show(name string, said *limited, secrets []string) {
	text := hide(strings.ToValidUTF8(said.kept.String(), "?"), secrets)
	for line := range strings.Lines(text) {
		if line = providers.OneLine(line, 0); line != "" {
			s.settings.Warnf("%s: %s", name, line)
		}
	}
	if said.over {
		s.settings.Warnf("%s: (more than %d bytes on standard error; the rest is not shown)", name, maxStderr)
	}
}
