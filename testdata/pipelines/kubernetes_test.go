//go:build linux

package pipelines_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/testdata/harness"
)

// The parts of Kubernetes' API that a node needs to run a pod.
type (
	object struct {
		Kind     string
		Metadata struct{ Name string }
		Data     map[string]string // of a ConfigMap
		Spec     struct {
			JobTemplate struct {
				Spec struct{ Template podTemplate }
			} // of a CronJob
			Template podTemplate // of a Job
		}
		Subjects []struct{ Kind, Name, Namespace string } // of a ClusterRoleBinding
		RoleRef  struct{ Name string }
	}
	podTemplate struct{ Spec podSpec }
	podSpec     struct {
		ServiceAccountName             string
		TerminationGracePeriodSeconds  int
		SecurityContext                struct{ RunAsUser, RunAsGroup, FSGroup int }
		Volumes                        []volume
		InitContainers, Containers     []containerSpec
		AutomountServiceAccountToken   *bool
		HostPID, ShareProcessNamespace bool
	}
	volume struct {
		Name                  string
		EmptyDir              *struct{}
		PersistentVolumeClaim *struct{ ClaimName string }
		ConfigMap             *struct{ Optional bool }
		Projected             *struct {
			Sources []struct {
				ServiceAccountToken *struct{ Path, Audience string }
			}
		}
		Secret any
	}
	containerSpec struct {
		Image         string
		Command, Args []string
		EnvFrom       []struct{ ConfigMapRef *struct{ Name string } }
		Env           []struct {
			Name, Value string
			ValueFrom   *struct{ FieldRef struct{ FieldPath string } }
		}
		SecurityContext struct{ ReadOnlyRootFilesystem bool }
		VolumeMounts    []mount
	}
	mount struct {
		Name, MountPath string
		ReadOnly        bool
	}
)

// manifests reads a kustomization, or a file, strictly (see kubernetes/main.go). Go keeps what it has built.
func manifests(path string) *exec.Cmd {
	c := exec.Command("go", "run", ".", path)
	c.Dir = filepath.Join(root(), "testdata/pipelines/kubernetes")
	return c
}

// parsed is what is read from a path in the repository.
func parsed(t testing.TB, path string, into any) {
	t.Helper()
	c := manifests(filepath.Join(root(), path))
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", path, err, &stderr)
	}
}

// A node runs the pods of examples/kubernetes, which has pipelines/kubernetes for its base.
type node struct {
	*world
	t       *testing.T
	objects []object
	api     *harness.Kubernetes
	claims  map[string]string // directories by the names of persistent volume claims
	image   string            // directory with the files of with-creds' image
}

func newNode(t *testing.T) *node {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may make a container")
	}
	need(t, "unshare", "setpriv", "mount", "pg_dump", "psql")
	n := &node{world: newWorld(t), t: t, claims: map[string]string{}, image: t.TempDir()}
	parsed(t, "examples/kubernetes", &n.objects)
	for _, o := range n.objects {
		if o.Kind == "PersistentVolumeClaim" {
			n.claims[o.Metadata.Name] = t.TempDir()
		}
	}

	n.api = n.vault.EnableKubernetes()
	vault, err := exec.Command(filepath.Join(root(), "testdata/servers/install"), "--path", "vault").Output()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(strings.TrimSpace(string(vault)), filepath.Join(bin, "vault")); err != nil {
		t.Fatal(err)
	}
	for name, policy := range map[string]string{"backup": "pipelines/kubernetes/vault/backup.hcl", "migrate": "examples/kubernetes/migrate.hcl"} {
		c := exec.Command(filepath.Join(root(), "pipelines/kubernetes/vault/setup.sh"), name, filepath.Join(root(), policy))
		c.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + bin, "VAULT_ADDR=" + n.vault.Addr, "VAULT_TOKEN=" + n.vault.RootToken}
		if out, code := run(t, c); code != 0 {
			t.Fatalf("setup.sh %s: code %d\n%s", name, code, out)
		}
	}

	// The image holds one file.
	_, after, _ := strings.Cut(read(t, filepath.Join(root(), ".goreleaser.Dockerfile")), `ENTRYPOINT ["`)
	entrypoint, _, found := strings.Cut(after, `"]`)
	if !found {
		t.Fatal("the image has no entry point")
	}
	product, err := exec.LookPath("with-creds")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(n.image, entrypoint), []byte(read(t, product)), 0o755); err != nil {
		t.Fatal(err)
	}
	return n
}

// in is the node in a test that is a part of another.
func (n *node) in(t *testing.T) *node {
	world, part := *n.world, *n
	world.t, part.t, part.world = t, t, &world
	return &part
}

// A pod is one on the node, whose init container has run.
type pod struct {
	*node
	podSpec
	volumes map[string]string // directories by name
}

// pod is that of a CronJob or a Job.
func (n *node) pod(kind, name string) *pod {
	n.t.Helper()
	var spec podSpec
	for _, o := range n.objects {
		if o.Kind == kind && o.Metadata.Name == name {
			spec = o.Spec.Template.Spec
			if kind == "CronJob" {
				spec = o.Spec.JobTemplate.Spec.Template.Spec
			}
		}
	}
	if len(spec.InitContainers) != 1 || len(spec.Containers) != 1 {
		n.t.Fatalf("%s %s has %d and %d containers", kind, name, len(spec.InitContainers), len(spec.Containers))
	}
	if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken || spec.HostPID || spec.ShareProcessNamespace {
		n.t.Errorf("%s %s has what it needs not", kind, name)
	}
	return n.begin(spec)
}

// begin makes a pod's volumes and runs its init container.
func (n *node) begin(spec podSpec) *pod {
	n.t.Helper()
	p := &pod{node: n, podSpec: spec, volumes: map[string]string{}}
	for _, v := range p.Volumes {
		dir := n.t.TempDir()
		switch {
		case v.EmptyDir != nil, v.ConfigMap != nil && v.ConfigMap.Optional: // and there is none
		case v.PersistentVolumeClaim != nil:
			dir = n.claims[v.PersistentVolumeClaim.ClaimName]
		case v.Projected != nil && len(v.Projected.Sources) == 1 && v.Projected.Sources[0].ServiceAccountToken != nil:
			token := v.Projected.Sources[0].ServiceAccountToken
			if token.Audience != "vault" { // that of the token which the harness makes
				n.t.Errorf("the token is for %q", token.Audience)
			}
			path := filepath.Join(dir, token.Path)
			write(n.t, path, n.api.ServiceAccount("backup", p.ServiceAccountName))
			p.own(path, 0o440)
		default:
			n.t.Fatalf("a volume of another kind: %+v", v)
		}
		p.own(dir, 0o2770)
		p.volumes[v.Name] = dir
	}
	if out, code := run(n.t, p.container(p.InitContainers[0], n.image)); code != 0 || out != "" {
		n.t.Fatalf("the init container: code %d\n%s", code, out)
	}
	return p
}

// own gives a file to the group that a pod's volumes belong to.
func (p *pod) own(path string, mode os.FileMode) {
	p.t.Helper()
	if err := os.Chown(path, 0, p.SecurityContext.FSGroup); err != nil {
		p.t.Fatal(err)
	}
	if mode&0o2000 != 0 {
		mode = mode&0o777 | os.ModeSetgid
	}
	if err := os.Chmod(path, mode); err != nil {
		p.t.Fatal(err)
	}
}

// container is a container of the pod, with its command, arguments and environment as they are written; only what says where Vault and the database are is
// that of the test's. Its process is the init of a namespace of its own (see kubernetes/container). An image is a directory with files, or "machine".
func (p *pod) container(spec containerSpec, image string) *exec.Cmd {
	p.t.Helper()
	if !spec.SecurityContext.ReadOnlyRootFilesystem {
		p.t.Errorf("the root of %s can be written", spec.Image)
	}
	args := []string{p.t.TempDir(), image, strconv.Itoa(p.SecurityContext.RunAsUser), strconv.Itoa(p.SecurityContext.RunAsGroup)}
	for _, m := range spec.VolumeMounts {
		arg := p.volumes[m.Name] + "=" + m.MountPath
		if m.ReadOnly {
			arg += ":ro"
		}
		args = append(args, arg)
	}
	args = append(args, "--")
	command := slices.Concat(spec.Command, spec.Args)
	if len(spec.Command) == 0 {
		entrypoint, err := filepath.Glob(filepath.Join(image, "*"))
		if err != nil || len(entrypoint) != 1 {
			p.t.Fatalf("the image has %q", entrypoint)
		}
		command = append([]string{"/" + filepath.Base(entrypoint[0])}, command...)
	}
	if regexp.MustCompile(`\$\([A-Za-z_]\w*\)`).MatchString(strings.Join(command, " ")) {
		p.t.Fatalf("%q: the kubelet would expand this", command)
	}
	c := exec.Command(filepath.Join(root(), "testdata/pipelines/kubernetes/container"), append(args, command...)...)
	c.Env = []string{ // of the image, and of every pod
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "HOSTNAME=backup-29000000-abcde",
		"KUBERNETES_SERVICE_HOST=10.96.0.1", "KUBERNETES_SERVICE_PORT=443",
	}
	for _, from := range spec.EnvFrom {
		for _, o := range p.objects {
			if o.Kind == "ConfigMap" && o.Metadata.Name == from.ConfigMapRef.Name {
				c.Env = append(c.Env, p.places(o.Data)...)
			}
		}
	}
	fields := map[string]string{"metadata.namespace": "backup", "metadata.uid": "3f0e8d5c-0000-4000-8000-000000000000"}
	for _, e := range spec.Env {
		if e.ValueFrom != nil {
			e.Value = fields[e.ValueFrom.FieldRef.FieldPath]
		}
		if e.Value == "" {
			p.t.Errorf("%s has no value", e.Name)
		}
		c.Env = append(c.Env, e.Name+"="+e.Value)
	}
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}
	return c
}

// places are the variables of a ConfigMap, with the test's own servers.
func (p *pod) places(data map[string]string) []string {
	p.t.Helper()
	for name, want := range map[string]string{"VAULT_ADDR": "https://vault.example:8200", "PGHOST": "db.example", "PGDATABASE": "app"} {
		if data[name] != want {
			p.t.Errorf("%s is %q in the cluster", name, data[name])
		}
	}
	if len(data) != 3 {
		p.t.Errorf("more than the places is given: %q", data)
	}
	return []string{"VAULT_ADDR=" + p.vault.Addr, "PGHOST=" + p.pg.Host, "PGPORT=" + strconv.Itoa(p.pg.Port), "PGDATABASE=" + data["PGDATABASE"]}
}

func TestKubernetes(t *testing.T) {
	n := newNode(t)
	for _, part := range []struct {
		name string
		test func(*node)
	}{
		{"pods do their work and leave nothing", doTheirWork},
		{"a pod that is terminated has revoked before its end", revokesWhenTerminated},
		{"a command that ignores SIGTERM does not keep what it was given", revokesInSpiteOfTheCommand},
		{"a pod that is lost leaves nothing beyond the leash", endsWithTheLeash},
		{"process 1 reaps what the command leaves behind", reaps},
		{"a task of Tekton's does the same", runsTekton},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(n.in(t)) })
	}
}

func doTheirWork(n *node) {
	t := n.t
	n.vault.EnableAudit()
	dump := n.pod("CronJob", "backup")
	out, code := run(t, dump.container(dump.Containers[0], "machine"))
	if code != 0 || !strings.Contains(out, "1 proven") {
		t.Errorf("the dump: code %d\n%s", code, out)
	}
	contents, err := exec.Command("pg_restore", "--list", filepath.Join(n.claims["backup"], "app.dump")).CombinedOutput()
	if err != nil || !strings.Contains(string(contents), "TABLE DATA public items") {
		t.Errorf("%v\n%s", err, contents)
	}

	if !slices.ContainsFunc(n.vault.Audit(), func(e harness.AuditEntry) bool {
		return e.Request.Path == "database/creds/readonly" && strings.Contains(strings.Join(e.Request.Headers["user-agent"], " "), "backup/backup-29000000-abcde")
	}) {
		t.Error("Vault's audit log does not say which pod asked")
	}

	migrate := n.pod("Job", "migrate")
	out, code = run(t, migrate.container(migrate.Containers[0], "machine"))
	if code != 0 || !strings.Contains(out, "1 proven") || !strings.Contains(out, "UPDATE 100") {
		t.Errorf("the migration: code %d\n%s", code, out)
	}
	if live := n.live(); len(live) > 0 {
		t.Errorf("left: %q", live)
	}
	for volume, want := range map[string]string{dump.volumes["with-creds"]: "with-creds", n.claims["backup"]: "app.dump", dump.volumes["vault-token"]: "token"} {
		if files, err := os.ReadDir(volume); err != nil || len(files) != 1 || files[0].Name() != want {
			t.Errorf("a volume holds %v, %v, and was to hold %s", files, err, want)
		}
	}

	// Each identity may do its own work alone.
	migrate.Containers[0].Env[0].Value = strings.Replace(migrate.Containers[0].Env[0].Value, "readwrite", "readonly", 1)
	out, code = run(t, migrate.container(migrate.Containers[0], "machine"))
	if code != 125 || !strings.Contains(out, "permission denied") {
		t.Errorf("another's role: code %d\n%s", code, out)
	}
	write(t, filepath.Join(dump.volumes["vault-token"], "token"), n.api.ServiceAccount("elsewhere", "backup"))
	out, code = run(t, dump.container(dump.Containers[0], "machine"))
	if code != 125 || !strings.Contains(out, "compare bound_service_account_namespaces") {
		t.Errorf("another namespace's account of the same name: code %d\n%s", code, out)
	}
}

// duringTheDump starts the dump of the example, holds it up in its middle, and then does something to its process. It returns what the container said, and its end.
func (n *node) duringTheDump(env []string, do func(*os.Process)) (string, *os.ProcessState) {
	n.t.Helper()
	p := n.pod("CronJob", "backup")
	lock, err := n.pg.Connect(n.pg.User, n.pg.Password, "app")
	if err != nil {
		n.t.Fatal(err)
	}
	defer lock.Close(context.Background())
	if _, err := lock.Exec(context.Background(), "begin; lock table items in access exclusive mode"); err != nil {
		n.t.Fatal(err)
	}
	c := p.container(p.Containers[0], "machine")
	c.Env = append(c.Env, env...)
	var out strings.Builder
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = c.Process.Kill() })
	eventually(n.t, "pg_dump waits for the table", func() error {
		var waiting int
		n.pg.QueryRow("app", &waiting, "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and usename like 'v-kube%'")
		if waiting != 1 {
			return fmt.Errorf("%d wait", waiting)
		}
		return nil
	})
	do(c.Process)
	p.wait(c)
	return out.String(), c.ProcessState
}

// wait waits for a container that has been told to end, as long as the pod gives it.
func (p *pod) wait(c *exec.Cmd) {
	p.t.Helper()
	killed := time.AfterFunc(time.Duration(p.TerminationGracePeriodSeconds)*time.Second, func() {
		p.t.Errorf("SIGKILL after %d s", p.TerminationGracePeriodSeconds)
		_ = c.Process.Kill()
	})
	defer killed.Stop()
	_ = c.Wait()
}

func revokesWhenTerminated(n *node) {
	t := n.t
	_ = os.Remove(filepath.Join(n.claims["backup"], "app.dump"))
	out, state := n.duringTheDump(nil, func(p *os.Process) { _ = p.Signal(syscall.SIGTERM) })
	if state.ExitCode() != 128+int(syscall.SIGTERM) || !strings.Contains(out, "1 proven") {
		t.Errorf("%v\n%s", state, out)
	}
	if live := n.live(); len(live) > 0 {
		t.Errorf("left: %q", live)
	}
	if there(filepath.Join(n.claims["backup"], "app.dump")) == nil {
		t.Error("half a dump has taken the place of the last")
	}
}

func revokesInSpiteOfTheCommand(n *node) {
	t := n.t
	p := n.pod("CronJob", "backup")
	spec := p.Containers[0]
	spec.Args = []string{"sh", "-c", `trap "" TERM; touch /backup/running; while :; do sleep 1; done`}
	c := p.container(spec, "machine")
	c.Env = append(c.Env, "WITH_CREDS_GRACE=2s")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	eventually(t, "the command ignores SIGTERM", func() error { return there(filepath.Join(n.claims["backup"], "running")) })
	_ = c.Process.Signal(syscall.SIGTERM)
	p.wait(c)
	if c.ProcessState.ExitCode() != 128+int(syscall.SIGKILL) {
		t.Error(c.ProcessState)
	}
	if live := n.live(); len(live) > 0 {
		t.Errorf("left: %q", live)
	}
}

// SIGKILL of a container's first process is soon the end of all of them, the guard included, as the loss of the node is at once. What the guard had no time for
// ends with the leash.
func endsWithTheLeash(n *node) {
	t := n.t
	_, state := n.duringTheDump([]string{"WITH_CREDS_LEASH=5s"}, func(p *os.Process) { _ = p.Kill() })
	if state.Success() {
		t.Error(state)
	}
	n.nothingLeft()
}

func reaps(n *node) {
	t := n.t
	need(t, "ps", "setsid")
	p := n.pod("CronJob", "backup")
	c := p.Containers[0]
	c.Args = []string{"sh", "-c", `test $PPID = 1 || exit 3
for i in 1 2 3 4 5; do (setsid sh -c 'exit 7' &); done
for i in $(seq 600); do ps -eo ppid=,stat= | grep -q '^ *1 *Z' || break; sleep 0.1; done
ps -eo ppid=,stat=,args= | grep '^ *1 *Z'
(setsid sleep 600 &)
exit 9`}
	cmd := p.container(c, "machine")
	cmd.Env = append(cmd.Env, "WITH_CREDS_GRACE=1s", "WITH_CREDS_QUIET=true")
	out, code := run(t, cmd)
	if code != 9 || strings.Contains(out, "defunct") {
		t.Errorf("code %d\n%s", code, out)
	}
	if live := n.live(); len(live) > 0 {
		t.Errorf("left: %q", live)
	}
}

func runsTekton(n *node) {
	t := n.t
	var raw json.RawMessage
	parsed(t, "pipelines/tekton/task.yaml", &raw)
	// What Tekton puts in place of its variables: https://tekton.dev/docs/pipelines/variables/
	text := strings.NewReplacer("$(workspaces.backup.path)", "/workspace/backup", "$(context.taskRun.namespace)", "backup", "$(context.taskRun.name)", "dump-x7k2p",
		"$(context.taskRun.uid)", "5b1c", "https://vault.example:8200", n.vault.Addr, "db.example", n.pg.Host).Replace(string(raw))
	var task struct {
		Kind string
		Spec struct {
			Workspaces []struct{ Name string }
			Volumes    []volume
			Steps      []containerSpec
		}
	}
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		t.Fatal(err)
	}
	if task.Kind != "Task" || len(task.Spec.Steps) != 2 || len(task.Spec.Workspaces) != 1 {
		t.Fatalf("%+v", task)
	}
	workspace := task.Spec.Workspaces[0].Name
	spec := n.pod("CronJob", "backup").podSpec
	spec.Volumes = slices.Concat(task.Spec.Volumes, []volume{{Name: workspace, EmptyDir: &struct{}{}}})
	spec.InitContainers = task.Spec.Steps[:1]
	p := n.begin(spec)
	step := task.Spec.Steps[1]
	step.VolumeMounts = append(step.VolumeMounts, mount{Name: workspace, MountPath: "/workspace/" + workspace})
	c := p.container(step, "machine")
	c.Env = append(c.Env, "PGPORT="+strconv.Itoa(n.pg.Port), "WITH_CREDS_RECEIPT=/workspace/backup/receipt.json")
	out, code := run(t, c)
	if code != 0 || !strings.Contains(out, "1 proven") {
		t.Errorf("code %d\n%s", code, out)
	}
	if dump := read(t, filepath.Join(p.volumes[workspace], "app.sql")); !strings.Contains(dump, "CREATE TABLE public.items") {
		t.Errorf("the dump is\n%.300s", dump)
	}
	if receipt := read(t, filepath.Join(p.volumes[workspace], "receipt.json")); !strings.Contains(receipt, `"system": "tekton"`) || !strings.Contains(receipt, "dump-x7k2p") {
		t.Errorf("the receipt does not name the run:\n%s", receipt)
	}
	if live := n.live(); len(live) > 0 {
		t.Errorf("left: %q", live)
	}
}

func TestKubernetesManifestsAreReadAsTheClusterWould(t *testing.T) {
	for _, wrong := range []struct{ file, from, to, want string }{
		{"cronjob.yaml", "readOnlyRootFilesystem", "readOnlyRootFileSystem", `unknown field "spec.jobTemplate.spec.template.spec.initContainers[0].securityContext.readOnlyRootFileSystem"`},
		{"cronjob.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot"},
		{"cronjob.yaml", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "allowPrivilegeEscalation"},
		{"cronjob.yaml", "terminationGracePeriodSeconds: 60", `terminationGracePeriodSeconds: "60s"`, "cannot unmarshal"},
		{"namespace.yaml", "restricted", "baseline", "does not enforce"},
		{"kustomization.yaml", "volume.yaml", "volumes.yaml", "volumes.yaml"},
	} {
		dir := filepath.Join(t.TempDir(), "kubernetes")
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(root(), "pipelines/kubernetes"))); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, wrong.file)
		right := read(t, path)
		write(t, path, strings.Replace(right, wrong.from, wrong.to, 1))
		out, code := run(t, manifests(dir))
		if code != 1 || !strings.Contains(out, wrong.want) {
			t.Errorf("%s for %s: code %d\n%s", wrong.to, wrong.from, code, out)
		}
	}
	var objects []object
	parsed(t, "pipelines/kubernetes", &objects)
	for _, o := range objects {
		// It is about Vault's own account, which the namespace of these objects must not have replaced.
		if o.Kind == "ClusterRoleBinding" && (o.RoleRef.Name != "system:auth-delegator" || len(o.Subjects) != 1 || o.Subjects[0].Namespace != "vault") {
			t.Errorf("%+v", o)
		}
	}
}
