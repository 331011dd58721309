// Package pipelines knows the CI systems: how each is recognised, what it calls a job, and what it does to one.
//
// Systems is the table: a row a system, with the page that it is from. Detect finds the row of the environment at hand, and makes a Job of it, by which is known
//
//   - whose credentials these are: the job's name, its id that no other job has, and its address, for the receipt and for who audits the servers;
//   - how a cancelled job ends: which signals the CI sends, when, and to whom. Grace is how long a command may take to heed them, so that everything is
//     revoked before the CI kills;
//   - how the CI's own log filter is told of a secret, where it has one (Masking);
//   - how long the job may take (Limit), and the process whose end is the job's (Workers, Agents): then a session that nobody has stopped gives back. An agent
//     is not a job: Jenkins' comes back after a lost connection, and a build's processes live on meanwhile. It may be away for five minutes, as in Jenkins itself;
//   - where private files may be when there is no RAM for them (Temp), and, apart from any job, where no secret may be written because the CI could publish
//     it (RefuseArtifact).
//
// What is to be written into a CI's own configuration is in the folders beside: GitHub's action, Jenkins' shared library, templates and manifests. README.md has
// the table for people; a test writes it.
//
// Only cmd knows this package; a run is told what it needs as values.
package pipelines

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Detect finds the CI this environment is of; nil outside CI.
func Detect(getenv func(string) string) *Job {
	for _, ci := range Systems() {
		if !slices.ContainsFunc(ci.Marks, func(mark string) bool { return isSet(mark, getenv) }) {
			continue
		}
		return &Job{System: ci.System, Name: joined(ci.name, getenv), ID: joined(ci.id, getenv), URL: expand(ci.url, getenv), Limit: ci.limit.of(getenv), ci: ci}
	}
	return nil
}

func isSet(mark string, getenv func(string) string) bool {
	name, begins, _ := strings.Cut(mark, "=")
	v := getenv(name)
	return v != "" && v != "false" && v != "0" && strings.HasPrefix(v, begins)
}

func joined(variables []string, getenv func(string) string) string {
	var all []string
	for _, name := range variables {
		if v := getenv(name); v != "" {
			all = append(all, v)
		}
	}
	return strings.Join(all, "/")
}

// A Job is the CI job at hand. The methods of a nil Job are those of no CI.
type Job struct {
	System, Name, ID, URL string
	Limit                 time.Duration // how long it may take, as the CI says; 0: it does not
	ci                    CI
}

func (l limit) of(getenv func(string) string) time.Duration {
	n, err := strconv.Atoi(getenv(l.name))
	if err != nil || n <= 0 || n > int(math.MaxInt64/l.unit) { // Buildkite says "false" of none
		return 0
	}
	return time.Duration(n) * l.unit
}

// Agents are arguments by which the CI's agent on this machine is known, where it runs jobs detached from itself.
func (j *Job) Agents() []string {
	if j == nil {
		return nil
	}
	return j.ci.agent
}

// Workers are the names of programs of which one runs this job and no other.
func (j *Job) Workers() []string {
	if j == nil {
		return nil
	}
	return j.ci.worker
}

// Temp is the variable that names a directory for the job's temporary files, beside what it checks out; empty: there is none. Not every CI empties it: what is
// in it is removed by whom it belongs to.
func (j *Job) Temp() string {
	if j == nil {
		return ""
	}
	return j.ci.temp
}

// Masking returns the line that makes the CI's own log filter mask value too, where it has one. Multi-line values need a call a line.
func (j *Job) Masking(value string) (string, bool) {
	if j == nil || j.ci.mask == nil {
		return "", false
	}
	return strings.Replace(j.ci.mask.line, "%s", strings.NewReplacer(j.ci.mask.escape...).Replace(value), 1), true
}

// forRevoking is the time that a cancelled job has left when its command has been killed. Revoking takes a tenth of a second when all is well, and one and
// a bit where Vault's default policy must do.
const forRevoking = 2500 * time.Millisecond

// Grace is how long a command that ignores signals may be waited for: as long as is wished, and no longer than leaves time for revoking before the CI
// kills whom it has told to end. Where it kills more than this process, nobody would be left to revoke.
func (j *Job) Grace(wished time.Duration) time.Duration {
	if j == nil {
		return wished
	}
	for _, s := range j.ci.Cancel {
		if s.Send == syscall.SIGKILL {
			return min(wished, s.After-forRevoking)
		}
	}
	return wished
}

func expand(template string, getenv func(string) string) string {
	var out strings.Builder
	for template != "" {
		text, rest, found := strings.Cut(template, "{")
		out.WriteString(text)
		if !found {
			break
		}
		name, after, _ := strings.Cut(rest, "}")
		v := getenv(name)
		if v == "" {
			return ""
		}
		out.WriteString(v)
		template = after
	}
	return out.String()
}
