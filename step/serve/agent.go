package serve

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// openAgent serves an SSH key with its certificate by the agent's protocol (draft-ietf-sshm-ssh-agent).
func openAgent(_ []string, e *Endpoints) error {
	if _, err := e.keyring(); err != nil {
		return err
	}
	dir, err := e.source.Dir()
	if err != nil {
		return err
	}
	path, err := freeName(dir, "agent")
	if err != nil {
		return err
	}
	// Only who may enter the private directory can reach the socket, whatever its own mode.
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listening at %s: %w (a socket's path may have about 100 bytes: name a shorter XDG_RUNTIME_DIR)", path, err)
	}
	s := &agentServer{endpoints: e, listener: listener, conns: map[net.Conn]bool{}}
	s.done.Go(s.serve)
	e.closers = append(e.closers, s)
	e.add("served:ssh-agent", path, false)
	return nil
}

// freeName is a name in the private directory that nothing has: several credentials may be served alike.
func freeName(dir, stem string) (string, error) {
	for i := range 1000 {
		path := filepath.Join(dir, fmt.Sprintf("%s.%d", stem, i))
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			return path, nil
		}
	}
	return "", fmt.Errorf("no name is free in %s", dir)
}

// keyring is an agent that holds the current key and its certificate and cannot be changed by clients.
func (e *Endpoints) keyring() (agent.Agent, error) {
	values, err := e.need("private_key", "signed_key")
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParseRawPrivateKey([]byte(values[0]))
	if err != nil {
		return nil, errors.New("the field private_key is not an SSH private key without a passphrase")
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(values[1]))
	if err != nil {
		return nil, errors.New("the field signed_key is not an SSH certificate")
	}
	certificate, ok := public.(*ssh.Certificate)
	if !ok {
		return nil, errors.New("the field signed_key is a key and not a certificate")
	}
	keys := agent.NewKeyring()
	// The bare key is not offered: servers count each key they refuse as an attempt.
	if err := keys.Add(agent.AddedKey{PrivateKey: key, Certificate: certificate, Comment: "with-creds"}); err != nil {
		return nil, fmt.Errorf("the certificate and the key do not go together: %w", err)
	}
	return keys, nil
}

// An agentServer accepts connections to the agent.
type agentServer struct {
	endpoints *Endpoints
	listener  net.Listener
	done      sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

func (s *agentServer) serve() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			conn.Close()
			return
		}
		s.conns[conn] = true
		s.done.Go(func() {
			_ = agent.ServeAgent(readOnlyAgent{s.endpoints}, conn) // an error is how a client goes away
			conn.Close()
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.conns, conn)
		})
		s.mu.Unlock()
	}
}

// Close ends the agent, its connections, and waits until no answer is under way.
func (s *agentServer) Close() error {
	s.mu.Lock()
	s.closed = true
	err := s.listener.Close() // and removes the socket
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
	return err
}

// readOnlyAgent lists and signs with the key that is current at that moment.
type readOnlyAgent struct{ endpoints *Endpoints }

var (
	_ agent.ExtendedAgent = readOnlyAgent{}

	errReadOnly = errors.New("this agent belongs to with-creds and holds one credential: keys can be neither added nor removed")
)

func (a readOnlyAgent) List() ([]*agent.Key, error) {
	keys, err := a.endpoints.keyring()
	if err != nil {
		return nil, err
	}
	return keys.List()
}

func (a readOnlyAgent) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	return a.SignWithFlags(key, data, 0)
}

func (a readOnlyAgent) SignWithFlags(key ssh.PublicKey, data []byte, flags agent.SignatureFlags) (*ssh.Signature, error) {
	keys, err := a.endpoints.keyring()
	if err != nil {
		return nil, err
	}
	extended, ok := keys.(agent.ExtendedAgent)
	if !ok {
		return keys.Sign(key, data)
	}
	return extended.SignWithFlags(key, data, flags)
}

func (a readOnlyAgent) Signers() ([]ssh.Signer, error) {
	keys, err := a.endpoints.keyring()
	if err != nil {
		return nil, err
	}
	return keys.Signers()
}

func (readOnlyAgent) Add(agent.AddedKey) error   { return errReadOnly }
func (readOnlyAgent) Remove(ssh.PublicKey) error { return errReadOnly }
func (readOnlyAgent) RemoveAll() error           { return errReadOnly }
func (readOnlyAgent) Lock([]byte) error          { return errReadOnly }
func (readOnlyAgent) Unlock([]byte) error        { return errReadOnly }
func (readOnlyAgent) Extension(string, []byte) ([]byte, error) {
	return nil, agent.ErrExtensionUnsupported
}
