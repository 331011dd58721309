//go:build linux

package engines

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/joho/godotenv"
	"golang.org/x/sync/errgroup"
)

// workVariable makes this test's binary a worker: a program that logs in to PostgreSQL again and again, by what its file holds then. Its value is a workPlan.
const workVariable = "ENGINES_TEST_WORK"

// A workPlan says for how long: at least so, and until there have been so many users and the end of each but the last was seen; four minutes at most.
type workPlan struct {
	For      time.Duration
	Users    int
	Patience time.Duration // a login that fails after longer than this proves nothing but a slow machine, and is not counted
}

// A workReport is what came of it.
type workReport struct {
	HangUps int
	Files   map[string]*fileReport
}

// A fileReport is of one of workFiles.
type fileReport struct {
	Took                 time.Duration
	Logins, Users, Ended int
	Failed               []string
	Overlaps             []time.Duration // for how long each old login was good after the new one was there; 0: it was not
}

// A workFile is one that logins are found in.
type workFile struct {
	variable string
	tell     func(path, content string) []string // psql, of such a file
	live     bool                                // psql may read the file itself, for it is all that psql needs
}

var workFiles = map[string]workFile{
	"service file": {"PGSERVICEFILE", func(path, _ string) []string { return []string{"PGSERVICE=with-creds", "PGSERVICEFILE=" + path} }, true},
	"password file": {"PGPASSFILE", func(path, content string) []string {
		return []string{"PGUSER=" + strings.Split(content, ":")[3], "PGPASSFILE=" + path}
	}, false},
	"env file": {"WITH_CREDS_ENV_FILE", func(_, content string) []string {
		return slices.DeleteFunc(strings.Fields(content), func(nv string) bool {
			return !strings.HasPrefix(nv, "PGUSER=") && !strings.HasPrefix(nv, "PGPASSWORD=")
		})
	}, false},
}

// work is the worker: all files at once, each by itself.
func work(text string) error {
	var plan workPlan
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		return err
	}
	told := make(chan os.Signal, 1000)
	signal.Notify(told, syscall.SIGHUP)
	copies, err := os.MkdirTemp("/dev/shm", "worker-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(copies)
	variables, err := godotenv.Read(os.Getenv("WITH_CREDS_ENV_FILE"))
	if err != nil {
		return err
	}
	report := workReport{Files: map[string]*fileReport{}}
	var all errgroup.Group
	for name, file := range workFiles {
		path := cmp.Or(variables[file.variable], os.Getenv(file.variable))
		r := &fileReport{}
		report.Files[name] = r
		all.Go(func() error { return r.work(plan, file, path, filepath.Join(copies, file.variable)) })
	}
	if err := all.Wait(); err != nil {
		return err
	}
	report.HangUps = len(told)
	return json.NewEncoder(os.Stdout).Encode(report)
}

func (r *fileReport) work(plan workPlan, file workFile, path, copies string) error {
	type former struct {
		env  []string
		lost time.Time     // when the new one was written
		good time.Duration // after that, so far
	}
	var content string
	var copied []string // how psql is told of a copy of the newest
	var old []former
	began := time.Now()
	for time.Since(began) < 4*time.Minute && (time.Since(began) < plan.For || r.Users < plan.Users || len(old) > 0) {
		at := time.Now()
		now, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if string(now) != content {
			if content != "" {
				info, err := os.Stat(path)
				if err != nil {
					return err
				}
				old = append(old, former{env: copied, lost: info.ModTime()})
			}
			content = string(now)
			name := copies + fmt.Sprint(r.Users)
			if err := os.WriteFile(name, now, 0o600); err != nil {
				return err
			}
			copied = file.tell(name, content)
			r.Users++
		}
		env := copied
		if file.live {
			env = file.tell(path, content)
		}
		r.Logins++
		if out, err := login(env); err != nil && time.Since(at) < plan.Patience {
			r.Failed = append(r.Failed, fmt.Sprintf("after %v: %v: %s", at.Sub(began).Round(time.Millisecond), err, out))
		}
		old = slices.DeleteFunc(old, func(f former) bool {
			_, err := login(f.env)
			if err == nil {
				return false
			}
			r.Ended++
			if f.good > 0 || time.Since(f.lost) < plan.Patience {
				r.Overlaps = append(r.Overlaps, f.good.Round(time.Millisecond))
			}
			return true
		})
		for i := range old {
			old[i].good = time.Since(old[i].lost)
		}
		time.Sleep(100 * time.Millisecond)
	}
	r.Took = time.Since(began)
	return nil
}

// login is a connection by psql, in a process group of its own: the signal of --on-rotate is for the worker. It hits one that has been forked and is not yet
// in its group, all the same; then there is another.
func login(env []string) (said string, err error) {
	for {
		c := exec.Command("psql", "-wXAtc", "select count(*) from items")
		c.Env = append(os.Environ(), env...)
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		out, err := c.CombinedOutput()
		if err != nil && strings.HasPrefix(err.Error(), "signal: hangup") {
			continue
		}
		if err == nil && string(out) != "100\n" {
			err = fmt.Errorf("got %q", out)
		}
		return strings.TrimSpace(string(out)), err
	}
}
