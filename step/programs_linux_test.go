package step

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/step/child"
)

// TestAProgramThatIsStartedAsTheCommandEndsIsNotTakenForTheCommands has a provider's program begin before the command ends, and its start return after: as it is when the machine is
// busy. Then the same without being slow, over and over.
func TestAProgramThatIsStartedAsTheCommandEndsIsNotTakenForTheCommands(t *testing.T) {
	for round := range 30 {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		var p programs
		c, err := child.Start(child.Options{
			Argv: []string{"sh", "-c", "read line"}, Env: os.Environ(), Stdin: in, Grace: 10 * time.Second, Spare: p.has, Starting: &p,
		})
		in.Close()
		if err != nil {
			t.Fatal(err)
		}
		own := exec.Command("sleep", "60")
		own.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		waited := make(chan error, 1)
		go func() {
			_, err := p.start(func() (int, error) {
				if err := own.Start(); err != nil {
					return 0, err
				}
				out.Close()
				if round == 0 {
					time.Sleep(300 * time.Millisecond) // for the command to end, and for what is done then, which must make no difference
				}
				return own.Process.Pid, nil
			})
			waited <- err
		}()
		result := c.Wait(make(chan os.Signal))
		if err := <-waited; err != nil {
			t.Fatal(err)
		}
		if result.Orphans != 0 {
			t.Errorf("round %d: %d processes were taken for the command's", round, result.Orphans)
		}
		_ = own.Process.Kill()
		if err := own.Wait(); own.ProcessState == nil || own.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("round %d: the program was ended by somebody else: %v", round, err)
		}
	}
}
