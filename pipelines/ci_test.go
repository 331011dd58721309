package pipelines_test

import (
	"maps"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/pipelines"
)

// jobs are the variables of each system's that the table is about, as its documentation gives them.
var jobs = []struct {
	env                   map[string]string
	system, name, id, url string
}{
	{map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/app", "GITHUB_WORKFLOW": "nightly", "GITHUB_JOB": "dump", "GITHUB_RUN_ID": "17",
		"GITHUB_RUN_ATTEMPT": "2", "GITHUB_SERVER_URL": "https://github.com"}, "github", "acme/app/nightly/dump", "17/2", "https://github.com/acme/app/actions/runs/17"},
	{map[string]string{"GITLAB_CI": "true", "CI_PROJECT_PATH": "acme/app", "CI_JOB_NAME": "dump", "CI_JOB_ID": "4711", "CI_JOB_URL": "https://gitlab.com/acme/app/-/jobs/4711"},
		"gitlab", "acme/app/dump", "4711", "https://gitlab.com/acme/app/-/jobs/4711"},
	{map[string]string{"JENKINS_URL": "https://ci/", "JOB_NAME": "acme/app", "BUILD_NUMBER": "8", "BUILD_TAG": "jenkins-acme-app-8", "BUILD_URL": "https://ci/job/app/8/"},
		"jenkins", "acme/app/8", "jenkins-acme-app-8", "https://ci/job/app/8/"},
	{map[string]string{"BUILDKITE": "true", "BUILDKITE_PIPELINE_SLUG": "app", "BUILDKITE_LABEL": "dump", "BUILDKITE_JOB_ID": "0190", "BUILDKITE_BUILD_URL": "https://buildkite.com/acme/app/builds/3"},
		"buildkite", "app/dump", "0190", "https://buildkite.com/acme/app/builds/3"},
	{map[string]string{"CIRCLECI": "true", "CIRCLE_PROJECT_REPONAME": "app", "CIRCLE_JOB": "dump", "CIRCLE_WORKFLOW_JOB_ID": "0191", "CIRCLE_BUILD_URL": "https://circleci.com/gh/acme/app/5"},
		"circleci", "app/dump", "0191", "https://circleci.com/gh/acme/app/5"},
	{map[string]string{"TF_BUILD": "True", "SYSTEM_TEAMPROJECT": "app", "AGENT_JOBNAME": "dump", "SYSTEM_JOBID": "0192", "SYSTEM_COLLECTIONURI": "https://dev.azure.com/acme/", "BUILD_BUILDID": "6"},
		"azure", "app/dump", "0192", "https://dev.azure.com/acme/app/_build/results?buildId=6"},
	{map[string]string{"TEKTON_TASK_RUN": "dump-x7", "TEKTON_NAMESPACE": "prod", "TEKTON_PIPELINE_RUN": "nightly-q2", "TEKTON_TASK_RUN_UID": "0193", "KUBERNETES_SERVICE_HOST": "10.0.0.1"},
		"tekton", "prod/nightly-q2/dump-x7", "0193", ""},
	{map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1", "POD_NAMESPACE": "prod", "HOSTNAME": "backup-28-x7", "POD_UID": "0194"}, "kubernetes", "prod/backup-28-x7", "0194", ""},
	{map[string]string{"CI": "1"}, "ci", "", "", ""},
}

func detect(env map[string]string) *pipelines.Job {
	return pipelines.Detect(func(name string) string { return env[name] })
}

func TestEachSystemIsKnownByItsVariables(t *testing.T) {
	known := map[string]bool{}
	for _, want := range jobs {
		env := maps.Clone(want.env)
		known[want.system] = true
		if want.system != "kubernetes" && want.system != "tekton" {
			env["CI"] = "true" // most set it too
		}
		for _, where := range []string{"", "10.0.0.1"} { // whose jobs may run in pods
			if where != "" && want.system == "ci" {
				continue
			}
			if where != "" {
				env["KUBERNETES_SERVICE_HOST"] = where
			}
			if j := detect(env); j == nil || j.System != want.system || j.Name != want.name || j.ID != want.id || j.URL != want.url {
				t.Errorf("%v is taken for %+v", env, j)
			}
		}
	}
	for _, ci := range pipelines.Systems() {
		if !known[ci.System] {
			t.Errorf("%s is not tested", ci.System)
		}
	}
	for _, mark := range []string{"JENKINS_NODE_COOKIE", "JENKINS_SERVER_COOKIE", "BUILD_TAG"} { // whose controller has not been told its own address
		if j := detect(map[string]string{mark: "jenkins-acme-app-8", "KUBERNETES_SERVICE_HOST": "10.0.0.1", "CI": "true"}); j == nil || j.System != "jenkins" {
			t.Errorf("by %s: %+v", mark, j)
		}
	}
	for _, env := range []map[string]string{{}, {"CI": "false"}, {"GITHUB_ACTIONS": "", "CI": "0"}, {"BUILD_TAG": "v1.2"}} {
		if j := detect(env); j != nil {
			t.Errorf("%v is taken for %s", env, j.System)
		}
	}
}

func TestTheCIsOwnLimitOfAJobIsKnown(t *testing.T) {
	for _, row := range []struct {
		env  map[string]string
		want time.Duration
	}{
		{map[string]string{"GITLAB_CI": "true", "CI_JOB_TIMEOUT": "5400"}, 90 * time.Minute},
		{map[string]string{"BUILDKITE": "true", "BUILDKITE_TIMEOUT": "15"}, 15 * time.Minute},
		{map[string]string{"BUILDKITE": "true", "BUILDKITE_TIMEOUT": "false"}, 0},
		{map[string]string{"TF_BUILD": "True", "SYSTEM_JOBTIMEOUT": "60"}, time.Hour},
		{map[string]string{"GITLAB_CI": "true", "CI_JOB_TIMEOUT": "-1"}, 0},
		{map[string]string{"GITLAB_CI": "true", "CI_JOB_TIMEOUT": "9223372036854775807"}, 0},
		{map[string]string{"GITLAB_CI": "true"}, 0},
		{map[string]string{"GITHUB_ACTIONS": "true", "CI_JOB_TIMEOUT": "1"}, 0},
	} {
		if got := detect(row.env).Limit; got != row.want {
			t.Errorf("%v: %v, want %v", row.env, got, row.want)
		}
	}
}

func TestAValueMasksItselfAndNoCommandIsMadeOfIt(t *testing.T) {
	for _, row := range []struct{ mark, want string }{
		{"GITHUB_ACTIONS", "::add-mask::50%25 off%0D%0A::stop-commands::x"},
		{"TF_BUILD", "##vso[task.setsecret]50%AZP25 off%0D%0A::stop-commands::x"},
		{"GITLAB_CI", ""},
	} {
		if line, ok := detect(map[string]string{row.mark: "true"}).Masking("50% off\r\n::stop-commands::x"); line != row.want || ok != (row.want != "") {
			t.Errorf("%s: %q", row.mark, line)
		}
	}
	if line, ok := (*pipelines.Job)(nil).Masking("x"); ok {
		t.Errorf("outside CI: %q", line)
	}
}

func TestGraceLeavesTimeToRevokeBeforeTheCIKills(t *testing.T) {
	want := map[string]time.Duration{
		"github": 7500 * time.Millisecond, "azure": 7500 * time.Millisecond, "gitlab": 7500 * time.Millisecond, "jenkins": 2500 * time.Millisecond,
		"buildkite": 6500 * time.Millisecond, "circleci": 10 * time.Second, "tekton": 10 * time.Second, "kubernetes": 10 * time.Second, "ci": 10 * time.Second,
	}
	for _, ci := range pipelines.Systems() {
		j := detect(map[string]string{ci.Marks[0]: "true"})
		if got := j.Grace(10 * time.Second); got != want[ci.System] {
			t.Errorf("%s: %v, want %v", ci.System, got, want[ci.System])
		}
		if got := j.Grace(time.Second); got != time.Second {
			t.Errorf("%s: %v, want no more than what is wished", ci.System, got)
		}
		var last time.Duration
		for i, s := range ci.Cancel {
			if s.After < last || i == len(ci.Cancel)-1 && s.Send != syscall.SIGKILL {
				t.Errorf("%s: %+v", ci.System, ci.Cancel)
			}
			last = s.After
		}
	}
	if got := (*pipelines.Job)(nil).Grace(time.Minute); got != time.Minute {
		t.Errorf("outside CI: %v", got)
	}
}
