//go:build linux

package main

import (
	"maps"
	"os/exec"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

// inPod runs a command with a service account where a pod has it: /var/run is another one, in a mount namespace of the command's own.
const inPod = `mount -t tmpfs none /var/run/
mkdir -p /var/run/secrets/kubernetes.io/serviceaccount
printf %s "$POD_TOKEN" >/var/run/secrets/kubernetes.io/serviceaccount/token
unset POD_TOKEN
exec "$@"`

func TestAutoLogsInAsThePodsServiceAccount(t *testing.T) {
	unshare := []string{"unshare", "--mount", "sh", "-ec", inPod, "sh"}
	if out, err := exec.Command(unshare[0], append(unshare[1:], "true")...).CombinedOutput(); err != nil {
		harness.Missing(t, "a mount namespace: %v: %s", err, out)
	}
	_, pg := postgresRow(t)
	v := harness.Vault(t)
	v.EnablePostgres(pg)
	s := vaultSource(t, v, pg, ownLogin(true), strings.TrimPrefix(v.Addr, "http://"), order{n: 1})
	kubernetes := v.EnableKubernetes()
	v.Write("auth/kubernetes/role/backup", map[string]any{
		"bound_service_account_names": "backup", "bound_service_account_namespaces": "prod", "audience": "vault", "token_policies": policyOf(s),
	})
	pod := map[string]string{
		"VAULT_ADDR": v.Addr, "WITH_CREDS_VAULT_AUTH": "auto", "WITH_CREDS_VAULT_ROLE": "backup", "POD_TOKEN": kubernetes.ServiceAccount("prod", "backup"),
		"KUBERNETES_SERVICE_HOST": "10.0.0.1", "POD_NAMESPACE": "prod", "HOSTNAME": "backup-28-x7",
	}
	run := func(change map[string]string) *trial {
		s.env = maps.Clone(pod)
		maps.Copy(s.env, change)
		tr := newTrial(t, s, nil, "sh", "-c", `test -n "$PASSWORD_0"`)
		path, err := exec.LookPath(unshare[0])
		if err != nil {
			t.Fatal(err)
		}
		tr.cmd.Args = append(append([]string{}, unshare...), append([]string{tr.exe}, tr.cmd.Args[1:]...)...)
		tr.cmd.Path = path
		return tr
	}
	s.logins = func() []string { return v.Leases("auth/kubernetes/login") }
	tr := run(nil)
	if code := tr.run(); code != 0 || !strings.Contains(tr.stderr.String(), "logging in by kubernetes: there is a service account") {
		t.Errorf("code %d\n%s", code, tr.stderr)
	}
	if ci := tr.receipt().CI; ci == nil || ci.System != "kubernetes" || ci.Job != "prod/backup-28-x7" {
		t.Errorf("the job is %+v", ci)
	}
	tr.endedClean()
	// Without a role there is nothing that a service account could be used for.
	tr = run(map[string]string{"WITH_CREDS_VAULT_ROLE": ""})
	if code := tr.run(); code != failed || !strings.Contains(tr.stderr.String(), "--vault-role") {
		t.Errorf("without a role: code %d\n%s", code, tr.stderr)
	}
	tr.cleanedUp(cleanUpLimit)
}
