package serve

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOraclesClientsAreToldOfADirectoryWithTheOneName(t *testing.T) {
	for _, c := range [][3]string{
		{"db", "", "(HOST=db)(PORT=1521)"}, {"db.example.com:1522", "", "(HOST=db.example.com)(PORT=1522)"}, {"db", "1522", "(HOST=db)(PORT=1522)"},
		{"[2001:db8::1]:1521", "", "(HOST=2001:db8::1)(PORT=1521)"},
	} {
		fields := []string{"host", c[0], "database", "ORCLPDB1", "username", "u", "password", "p"}
		if c[1] != "" {
			fields = append(fields, "port", c[1])
		}
		w, address := newWorld(t, credential(fields...)), c[2]
		dir := field(t, w.open(tnsField), tnsField)
		text, err := os.ReadFile(filepath.Join(dir, "tnsnames.ora"))
		if want := "with_creds = (DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)" + address + ")(CONNECT_DATA=(SERVICE_NAME=ORCLPDB1)))\n"; err != nil || string(text) != want {
			t.Errorf("%v, %q, want %q", err, text, want)
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 || filepath.Dir(dir) != w.dir {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
}

func TestAHostThatCouldRedirectOraclesClientsIsRefused(t *testing.T) {
	for _, c := range [][2]string{{"db)(HOST=evil", "x"}, {"db", "x)(SERVER=y"}, {"db", ""}, {"", "x"}, {"db\nother = (", "x"}, {"db # ", "x"}} {
		w := newWorld(t, credential("host", c[0], "database", c[1]))
		if e, err := Open([]string{tnsField}, w.source()); err == nil {
			t.Errorf("%q: %v", c, e.Fields())
		}
		if left, _ := os.ReadDir(w.dir); len(left) > 0 {
			t.Errorf("%q: left %v", c, left)
		}
	}
}
