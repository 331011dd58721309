// Command kubernetes reads manifests as a cluster would. Given a directory it builds the kustomization there and prints its objects as a JSON list, each
// read strictly as the type of the API that it says it is, so that a field which the API does not have is an error, and its pods held to what the
// namespace's label asks of them (https://kubernetes.io/docs/concepts/security/pod-security-standards/). Given a file it prints its YAML as JSON.
package main

import (
	encoding "encoding/json"
	"errors"
	"fmt"
	"os"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := show(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func show(path string) error {
	text, err := os.ReadFile(path)
	if err == nil {
		text, err = yaml.YAMLToJSONStrict(text)
		os.Stdout.Write(text)
		return err
	}
	objects, err := build(path)
	if err != nil {
		return err
	}
	if err := confined(objects); err != nil {
		return err
	}
	return encoding.NewEncoder(os.Stdout).Encode(objects)
}

func build(dir string) ([]meta.Object, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, err
	}
	var objects []meta.Object
	for _, r := range resources.Resources() {
		text, err := r.MarshalJSON()
		if err != nil {
			return nil, err
		}
		object, known := map[string]meta.Object{
			"v1 Namespace": &core.Namespace{}, "v1 ServiceAccount": &core.ServiceAccount{}, "v1 ConfigMap": &core.ConfigMap{}, "v1 PersistentVolumeClaim": &core.PersistentVolumeClaim{},
			"rbac.authorization.k8s.io/v1 ClusterRoleBinding": &rbac.ClusterRoleBinding{}, "batch/v1 CronJob": &batch.CronJob{}, "batch/v1 Job": &batch.Job{},
		}[r.GetApiVersion()+" "+r.GetKind()]
		if !known {
			return nil, fmt.Errorf("%s %s: not expected here", r.GetApiVersion(), r.GetKind())
		}
		unknown, err := json.UnmarshalStrict(text, object) // as the API server reads, case and all
		if err := errors.Join(append(unknown, err)...); err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.GetKind(), r.GetName(), err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// confined is what the cluster's admission would say of the pods.
func confined(objects []meta.Object) error {
	level := map[string]api.Level{}
	for _, o := range objects {
		if n, ok := o.(*core.Namespace); ok {
			level[n.Name] = api.Level(n.Labels[api.EnforceLevelLabel])
		}
	}
	judge, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		return err
	}
	for _, o := range objects {
		var pod *core.PodTemplateSpec
		switch o := o.(type) {
		case *batch.CronJob:
			pod = &o.Spec.JobTemplate.Spec.Template
		case *batch.Job:
			pod = &o.Spec.Template
		default:
			continue
		}
		if level[o.GetNamespace()] != api.LevelRestricted {
			return fmt.Errorf("%s: its namespace %q does not enforce the level %s", o.GetName(), o.GetNamespace(), api.LevelRestricted)
		}
		verdict := policy.AggregateCheckResults(judge.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, &pod.ObjectMeta, &pod.Spec))
		if !verdict.Allowed {
			return fmt.Errorf("%s: %s", o.GetName(), verdict.ForbiddenDetail())
		}
	}
	return nil
}
