package step

import (
	"io"
	"os"
	"slices"
	"strings"

	"github.com/with-creds/with-creds/step/bind"
	"github.com/with-creds/with-creds/step/mask"
)

// maskSecrets makes every secret known to the masker, and to the CI's own.
func (r *run) maskSecrets() {
	r.mask(r.issued...)
	if r.Mask && r.Lent != nil {
		r.masker.Add(r.Lent.Secrets...) // what is too short for it was told when the session began
	}
	if r.Mask {
		var values []string
		for _, name := range r.MaskEnv {
			value, _ := r.lookupEnv(name)
			values = append(values, value)
		}
		for _, w := range r.masker.Add(values...) {
			r.Log.Warn("--mask-env %s: its value is shorter than %d bytes and is not masked", r.MaskEnv[w.Index], mask.MinLength)
		}
	}
}

// mask makes the secrets of credentials known: each secret field, and what its filters made of one. The fields are given at once, for the
// masker builds its search anew each time.
func (r *run) mask(some ...*issued) {
	if !r.Mask {
		return
	}
	var values, names []string
	defer func() { r.tellCI(values) }()
	for _, c := range some {
		user, _ := c.credential.Field("username")
		for _, f := range c.credential.Fields {
			if !f.Secret || f.Value == "" {
				continue
			}
			values, names = append(values, f.Value), append(names, c.spec.Request.Source()+": the field "+f.Name)
			if user.Value != "" && !user.Secret {
				r.masker.AddBasic(user.Value, f.Value)
			}
		}
	}
	for _, w := range r.masker.Add(values...) {
		r.Log.Warn("%s is not masked: it is shorter than %d bytes and would be found all over the output", names[w.Index], mask.MinLength)
	}
	for _, c := range some {
		for _, v := range c.values {
			for _, text := range filtered(v) {
				if !r.masker.Covers(text) { // a URL's password is, in all its forms, and the rest of the URL stays readable
					r.masker.Add(text)
					values = append(values, text)
				}
			}
		}
	}
}

// filtered are the secrets in a value as its filters left them. One that is too short to be masked by itself is masked with what is around it.
func filtered(v bind.Value) []string {
	texts := slices.Clone(v.Secrets)
	for i, text := range texts {
		if len(text) < mask.MinLength {
			texts[i] = v.Value
		}
	}
	return texts
}

// tellCI makes the CI's own log filter mask values, each line of them by itself. It is told on stderr (GitHub's runner reads both streams of a step): stdout
// is the command's alone, and goes through a pipe to a program or into an artefact as often as to the runner. Never into a file or onto a terminal: there the lines
// that name the secrets would stay.
func (r *run) tellCI(values []string) {
	if r.Masking == nil || r.Stderr == nil || !ReadByCI(r.Stderr) {
		return
	}
	var text strings.Builder
	for _, value := range values {
		for _, line := range mask.Lines(value) {
			if command, ok := r.Masking(line); ok {
				text.WriteString(command + "\n")
			}
		}
	}
	if text.Len() == 0 {
		return
	}
	begin := ""
	if r.child != nil {
		begin = "\n" // the command may be in the middle of a line, where the runner would not see what is told but print it
	}
	r.Log.Command(begin + text.String())
}

// ReadByCI reports whether a stream can be one that a CI reads, and not a file, a terminal or nothing at all.
func ReadByCI(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && !info.Mode().IsRegular() && info.Mode()&os.ModeCharDevice == 0
}

// masking is the filter the command's streams go through; nil when there is nothing to mask, so that they are passed as they are.
func (r *run) masking() func(io.Writer) io.WriteCloser {
	if !r.Mask || r.masker.Empty() {
		return nil
	}
	return func(dst io.Writer) io.WriteCloser {
		s := r.masker.Stream(dst)
		return counting{s, r}
	}
}

// counting adds a stream's count to the run's when the stream ends.
type counting struct {
	*mask.Stream
	run *run
}

func (c counting) Close() error {
	err := c.Stream.Close()
	c.run.masked.Add(int64(c.Stream.Masked()))
	return err
}
