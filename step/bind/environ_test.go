package bind

import (
	"reflect"
	"testing"
)

func TestEnvironKeepsTheParentsOrderAndWhatItRead(t *testing.T) {
	parent := []string{"A=1", "VAULT_TOKEN=t1", "PGUSER=old", "A=2", "EMPTY=", "VAULT_TOKEN=t2", "no equals", "=C:=C:\\", "PGUSER=older", "Z=x=y"}
	got := Environ(parent, func(name string) bool { return name == "VAULT_TOKEN" }, []Value{
		{Name: "PGUSER", Value: "new"},
		{Name: "CERT", Value: "content", File: true, Path: "/dev/shm/d/CERT"},
		{Name: "UNPLACED", Value: "content", File: true},
	})
	want := []string{"A=1", "EMPTY=", "no equals", "=C:=C:\\", "Z=x=y", "PGUSER=new", "CERT=/dev/shm/d/CERT", "UNPLACED="}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if parent[0] != "A=1" || len(parent) != 10 {
		t.Error("the parent's environment was changed")
	}
	if got := Environ([]string{"A=1"}, nil, nil); !reflect.DeepEqual(got, []string{"A=1"}) {
		t.Errorf("got %q", got)
	}
}
