package vault

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/with-creds/with-creds/providers"
)

// generateKey makes the key pair that `?public_key=generate` of the SSH engine's sign endpoint asks for, puts its public half into the request, and
// returns the fields it adds: private_key, in OpenSSH's format, and public_key. The private key never leaves the process but through the credential.
func generateKey(to *route) ([]providers.Field, error) {
	if to.body["public_key"] != "generate" {
		return nil, nil
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "with-creds")
	if err != nil {
		return nil, err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	to.body["public_key"] = line
	return []providers.Field{
		{Name: "private_key", Value: string(pem.EncodeToMemory(block)), Secret: true},
		{Name: "public_key", Value: line},
	}, nil
}
