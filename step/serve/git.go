package serve

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/with-creds/with-creds/providers"
)

const gitHelper = "served:git-helper"

// openGit serves a user name and a password by git's credential protocol (gitcredentials(7), git-credential(1)). What git is given is a line of
// shell that runs `with-creds credential git SOCKET`, which asks here: so a token that was replaced meanwhile is the new one.
func openGit(_ []string, e *Endpoints) error {
	values, err := e.need("url", "username", "password")
	if err != nil {
		return err
	}
	program, err := e.source.Program()
	if err != nil {
		return err
	}
	dir, err := e.source.Dir()
	if err != nil {
		return err
	}
	path, err := freeName(dir, "git")
	if err != nil {
		return err
	}
	// Only who may enter the private directory can reach the socket, whatever its own mode.
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listening at %s: %w (a socket's path may have about 100 bytes: name a shorter XDG_RUNTIME_DIR)", path, err)
	}
	s := &gitServer{endpoints: e, listener: listener}
	s.done.Go(s.serve)
	e.closers = append(e.closers, s)
	e.add("served:git-key", "credential."+values[0]+".helper", false)
	e.add("served:git-header", "http."+values[0]+"/.extraHeader", false)
	// The shell of git for Windows takes slashes, and backslashes for escapes.
	e.add(gitHelper, "!"+quoted(filepath.ToSlash(program))+" credential git "+quoted(filepath.ToSlash(path)), false)
	return nil
}

// quoted is a word for a POSIX shell.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// A gitServer answers one question a connection.
type gitServer struct {
	endpoints *Endpoints
	listener  net.Listener
	done      sync.WaitGroup
}

// gitPatience is how long a question or its answer may take; a client that says nothing must not hold up the run's end for long.
const gitPatience = 2 * time.Second

func (s *gitServer) serve() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.done.Go(func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(gitPatience))
			asked, err := readAttributes(conn)
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, gitAnswer(asked, s.endpoints.source.Current())) // an error is how a client goes away
		})
	}
}

// Close ends the endpoint and waits until no answer is under way.
func (s *gitServer) Close() error {
	err := s.listener.Close()
	s.done.Wait()
	return err
}

// maxAttributes bounds what git asks, in bytes.
const maxAttributes = 64 << 10

// readAttributes reads name=value lines up to an empty one, or the end.
func readAttributes(from io.Reader) (map[string]string, error) {
	asked := map[string]string{}
	lines := bufio.NewScanner(io.LimitReader(from, maxAttributes))
	for lines.Scan() && lines.Text() != "" {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if !ok {
			return nil, errors.New("not git's credential protocol: a line without =")
		}
		asked[name] = value
	}
	return asked, lines.Err()
}

// gitAnswer is what git is told: nothing for another host than the credential's, whoever configured the helper.
func gitAnswer(asked map[string]string, c providers.Credential) string {
	value := func(name string) string { f, _ := c.Field(name); return f.Value }
	if asked["protocol"]+"://"+asked["host"] != value("url") {
		return ""
	}
	username, password := value("username"), value("password")
	if strings.ContainsAny(username+password, "\n\x00") {
		return ""
	}
	return "username=" + username + "\npassword=" + password + "\n"
}

// GitHelper is `with-creds credential git SOCKET ACTION`: it carries git's question to the socket and the answer back. Only get is answered: git
// also offers to store what it was given, and asks to erase what was refused.
func GitHelper(socket, action string, in io.Reader, out io.Writer) error {
	if action != "get" {
		return nil
	}
	conn, err := net.DialTimeout("unix", filepath.FromSlash(socket), gitPatience)
	if err != nil {
		return fmt.Errorf("asking the run for its credential: %w (has it ended?)", errors.Unwrap(err))
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * gitPatience))
	asked, err := readAttributes(in)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "protocol=%s\nhost=%s\n\n", asked["protocol"], asked["host"]); err != nil {
		return fmt.Errorf("asking the run for its credential: %w", err)
	}
	answer, err := io.ReadAll(io.LimitReader(conn, maxAttributes))
	if err != nil {
		return fmt.Errorf("asking the run for its credential: %w", err)
	}
	_, err = out.Write(answer)
	return err
}
