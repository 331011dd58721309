package pipelines

import (
	"syscall"
	"time"
)

// A CI is one CI system's row in the table.
type CI struct {
	System string
	Marks  []string // variables that are set there and nowhere else, one of which is enough; NAME=TEXT is one whose value begins with the text
	Cookie string   // the variable by which its agent finds a job's processes when it ends them; empty: it does not look
	Cancel []Signal // how it ends a job that is cancelled, in order; none: it ends the machine, or nobody says
	name   []string // variables that name the job, joined by "/"
	id     []string // variables that together no other job has, likewise
	url    string   // a template of variables; empty values leave the URL out
	temp   string   // the variable that names a directory for the job's temporary files, beside what it checks out
	limit  limit    // how long the job may take
	worker []string // the program that runs one job and ends with it, as /proc/PID/comm has it
	agent  []string // where that is nobody's parent: an argument, less its directory, of the agent on this machine
	mask   *masking // how a job tells it to mask a value; nil: there is no way on a line of output
}

// A Signal is one that a CI sends to end a cancelled job.
type Signal struct {
	After time.Duration // the cancellation, at the earliest
	Send  syscall.Signal
	To    Reach
}

// A Reach is whom a CI's signal is sent to.
type Reach string

// The reaches there are.
const (
	Step       Reach = "the process that the CI has started, and no other"
	Group      Reach = "the process group of what the CI has started"
	WithCookie Reach = "every process with the cookie in its environment"
	Tree       Reach = "every process with the cookie, and all that descend from one"
	Container  Reach = "every process of the container"
)

// A limit is a variable that holds a number of units; without a name there is none.
type limit struct {
	name string
	unit time.Duration
}

// masking is a line that makes a CI mask a value, and how the value is written in it.
type masking struct {
	line   string // %s in place of the value
	escape []string
}

// runnersCancel is how GitHub's runner and its elder brother, the agent of Azure Pipelines, end a step
// (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-cancellation): only the process that they have started is sent the
// signals, which is the step's shell unless that has exec'ed. When the step has ended, five seconds after it at most, the job's end follows, and
// with it the end of what still has the cookie (actions/runner, ProcessInvoker.cs and JobExtension.cs).
var runnersCancel = []Signal{
	{0, syscall.SIGINT, Step}, {7500 * time.Millisecond, syscall.SIGTERM, Step}, {10 * time.Second, syscall.SIGKILL, Step}, {15 * time.Second, syscall.SIGKILL, WithCookie},
}

// podsCancel is how a pod ends, unless terminationGracePeriodSeconds says otherwise: its first process is asked to, half a minute later all are killed
// (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination).
var podsCancel = []Signal{{0, syscall.SIGTERM, Step}, {30 * time.Second, syscall.SIGKILL, Container}}

// Systems is the table, in the order in which the systems are looked for: one that runs jobs in pods before Kubernetes. Variables are from each vendor's page of
// predefined ones.
func Systems() []CI {
	return []CI{
		{
			System: "github", Marks: []string{"GITHUB_ACTIONS"}, Cookie: "RUNNER_TRACKING_ID", Cancel: runnersCancel,
			name: []string{"GITHUB_REPOSITORY", "GITHUB_WORKFLOW", "GITHUB_JOB"}, id: []string{"GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT"},
			url: "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}", temp: "RUNNER_TEMP", worker: []string{"Runner.Worker"},
			// The three that are decoded in a command's data: https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts
			mask: &masking{"::add-mask::%s", []string{"%", "%25", "\r", "%0D", "\n", "%0A"}},
		},
		{
			// The Docker executor's way, which is the shortest: SIGTERM to each process of the container, and after ten seconds the container's end
			// (https://gitlab.com/gitlab-org/gitlab-runner/-/issues/38650). The shell executor signals the process group, and waits ten minutes
			// (graceful_kill_timeout; https://docs.gitlab.com/runner/configuration/advanced-configuration/).
			System: "gitlab", Marks: []string{"GITLAB_CI"}, Cancel: []Signal{{0, syscall.SIGTERM, Container}, {10 * time.Second, syscall.SIGKILL, Container}},
			name: []string{"CI_PROJECT_PATH", "CI_JOB_NAME"}, id: []string{"CI_JOB_ID"}, url: "{CI_JOB_URL}", temp: "RUNNER_TEMP_PROJECT_DIR", limit: limit{"CI_JOB_TIMEOUT", time.Second},
		},
		{
			// jenkinsci/jenkins, hudson/util/ProcessTree.java: who has the cookie and who descends from those, the youngest first, within five seconds
			// (-DSoftKillWaitSeconds). What has not ended then is left alone by some versions; to count on nothing, it is killed here.
			// JENKINS_URL is there only where the controller has been told its own address (jenkinsci/jenkins, jenkins/model/CoreEnvironmentContributor.java).
			System: "jenkins", Marks: []string{"JENKINS_URL", "JENKINS_NODE_COOKIE", "JENKINS_SERVER_COOKIE", "BUILD_TAG=jenkins-"}, Cookie: "JENKINS_SERVER_COOKIE", Cancel: []Signal{{0, syscall.SIGTERM, Tree}, {5 * time.Second, syscall.SIGKILL, Tree}},
			name: []string{"JOB_NAME", "BUILD_NUMBER"}, id: []string{"BUILD_TAG"}, url: "{BUILD_URL}", temp: "WORKSPACE_TMP",
			agent: []string{"agent.jar", "remoting.jar", "slave.jar", "jenkins.war"},
		},
		{
			// https://buildkite.com/docs/agent/lifecycle#signal-handling; the group is killed a second before the agent's own ten seconds are over
			// (--signal-grace-period-seconds: https://github.com/buildkite/agent/pull/2696).
			System: "buildkite", Marks: []string{"BUILDKITE"}, Cancel: []Signal{{0, syscall.SIGTERM, Group}, {9 * time.Second, syscall.SIGKILL, Group}},
			name: []string{"BUILDKITE_PIPELINE_SLUG", "BUILDKITE_LABEL"}, id: []string{"BUILDKITE_JOB_ID"}, url: "{BUILDKITE_BUILD_URL}",
			limit: limit{"BUILDKITE_TIMEOUT", time.Minute}, worker: []string{"buildkite-agent"},
		},
		{
			// Its documentation names no signal: the container or the machine is gone. The leash is what ends credentials there.
			System: "circleci", Marks: []string{"CIRCLECI"}, name: []string{"CIRCLE_PROJECT_REPONAME", "CIRCLE_JOB"}, id: []string{"CIRCLE_WORKFLOW_JOB_ID"}, url: "{CIRCLE_BUILD_URL}",
		},
		{
			System: "azure", Marks: []string{"TF_BUILD"}, Cookie: "VSTS_PROCESS_LOOKUP_ID", Cancel: runnersCancel, name: []string{"SYSTEM_TEAMPROJECT", "AGENT_JOBNAME"}, id: []string{"SYSTEM_JOBID"},
			url: "{SYSTEM_COLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results?buildId={BUILD_BUILDID}", temp: "AGENT_TEMPDIRECTORY", limit: limit{"SYSTEM_JOBTIMEOUT", time.Minute}, worker: []string{"Agent.Worker"},
			// https://learn.microsoft.com/en-us/azure/devops/pipelines/scripts/logging-commands#formatting-commands
			mask: &masking{"##vso[task.setsecret]%s", []string{"%", "%AZP25", "\r", "%0D", "\n", "%0A"}},
		},
		{
			// Tekton sets no variable by itself; the step in pipelines/tekton sets these of $(context.taskRun.name) and the like. A cancelled TaskRun's pod
			// is deleted, and Tekton's entrypoint hands signals on to the step's process group
			// (https://tekton.dev/docs/pipelines/taskruns/#cancelling-a-taskrun; tektoncd/pipeline, cmd/entrypoint/runner.go).
			System: "tekton", Marks: []string{"TEKTON_TASK_RUN"}, Cancel: []Signal{{0, syscall.SIGTERM, Group}, podsCancel[1]},
			name: []string{"TEKTON_NAMESPACE", "TEKTON_PIPELINE_RUN", "TEKTON_TASK_RUN"}, id: []string{"TEKTON_TASK_RUN_UID"}, url: "{TEKTON_URL}",
		},
		{
			// Set in every pod. HOSTNAME is the pod's name, the rest is the downward API's where the manifest asks for it.
			System: "kubernetes", Marks: []string{"KUBERNETES_SERVICE_HOST"}, Cancel: podsCancel, name: []string{"POD_NAMESPACE", "HOSTNAME"}, id: []string{"POD_UID"},
		},
		{System: "ci", Marks: []string{"CI"}},
	}
}
