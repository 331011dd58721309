// Package pipelines knows the CI systems: how each is recognised and what it calls a job.
//
// Only cmd knows this package; a run is told what it needs as values.
package pipelines

import "strings"

// A CI is one CI system's row in the table.
type CI struct {
	System string
	mark   string   // the variable that is set there and nowhere else
	job    []string // variables that name the job, joined by "/"
	url    string   // a template of variables; empty values leave the URL out
	worker []string // the program that runs one job and ends with it, as /proc/PID/comm has it
	agent  []string // where that is nobody's parent: an argument, less its directory, of the agent on this machine
	mask   string   // the line that makes the CI mask a value itself, %s in place of the value
}

// table lists the systems in the order they are looked for. Sources: each vendor's page of predefined variables.
var table = []CI{
	{System: "github", worker: []string{"Runner.Worker"}, mark: "GITHUB_ACTIONS", job: []string{"GITHUB_REPOSITORY", "GITHUB_WORKFLOW", "GITHUB_JOB"}, url: "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}", mask: "::add-mask::%s"},
	{System: "gitlab", mark: "GITLAB_CI", job: []string{"CI_PROJECT_PATH", "CI_JOB_NAME"}, url: "{CI_JOB_URL}"},
	{System: "jenkins", agent: []string{"agent.jar", "remoting.jar", "slave.jar", "jenkins.war"}, mark: "JENKINS_URL", job: []string{"JOB_NAME", "BUILD_NUMBER"}, url: "{BUILD_URL}"},
	{System: "buildkite", worker: []string{"buildkite-agent"}, mark: "BUILDKITE", job: []string{"BUILDKITE_PIPELINE_SLUG", "BUILDKITE_LABEL"}, url: "{BUILDKITE_BUILD_URL}"},
	{System: "circleci", mark: "CIRCLECI", job: []string{"CIRCLE_PROJECT_REPONAME", "CIRCLE_JOB"}, url: "{CIRCLE_BUILD_URL}"},
	{System: "azure", worker: []string{"Agent.Worker"}, mark: "TF_BUILD", job: []string{"SYSTEM_TEAMPROJECT", "AGENT_JOBNAME"}},
	{System: "ci", mark: "CI"},
}

// Detect finds the CI this environment is of; nil outside CI.
func Detect(getenv func(string) string) *Job {
	for _, ci := range table {
		if v := getenv(ci.mark); v == "" || v == "false" || v == "0" {
			continue
		}
		var names []string
		for _, name := range ci.job {
			if v := getenv(name); v != "" {
				names = append(names, v)
			}
		}
		return &Job{System: ci.System, Name: strings.Join(names, "/"), URL: expand(ci.url, getenv), mask: ci.mask, worker: ci.worker, agent: ci.agent}
	}
	return nil
}

// A Job is the CI job at hand.
type Job struct {
	System, Name, URL string
	mask              string
	worker, agent     []string
}

// Agents are arguments by which the CI's agent on this machine is known, where it runs jobs detached from itself.
func (j *Job) Agents() []string {
	if j == nil {
		return nil
	}
	return j.agent
}

// Workers are the names of programs of which one runs this job and no other.
func (j *Job) Workers() []string {
	if j == nil {
		return nil
	}
	return j.worker
}

// Masking returns the line that makes the CI's own log filter mask value too, where it has one. Multi-line values need a call a line.
func (j *Job) Masking(value string) (string, bool) {
	if j == nil || j.mask == "" {
		return "", false
	}
	// GitHub decodes these three in a command's data: https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts
	value = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(value)
	return strings.Replace(j.mask, "%s", value, 1), true
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
