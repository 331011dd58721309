package serve

import (
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/with-creds/with-creds/providers"
)

// makers are the fields that are made of others, anew for each credential.
var makers = map[string]func(c providers.Credential) (string, error){
	pkcs12Field: store,
	sshKeyField: openSSHKey,
}

// Made adds the fields that are made anew of each credential, where a name asks for them. c has the fields of Endpoints already.
func Made(names []string, c providers.Credential) (providers.Credential, error) {
	c.Fields = slices.Clip(c.Fields)
	for _, name := range names {
		maker, ok := makers[name]
		if !ok {
			continue
		}
		value, err := maker(c)
		if err != nil {
			return c, fmt.Errorf("%s: %w", name, err)
		}
		c.Fields = append(c.Fields, providers.Field{Name: name, Value: value, Secret: true})
	}
	return c, nil
}

// sshKeyField is private_key in OpenSSH's own format.
const sshKeyField = "made:ssh-key"

// openSSHKey rewrites a key. Of one in PEM, as Vault's ssh/issue makes it, ssh cannot read the public half, and so does not find the key that
// belongs to a certificate (OpenSSH 9.2, sign_and_send_pubkey in sshconnect2.c).
func openSSHKey(c providers.Credential) (string, error) {
	f, _ := c.Field("private_key")
	key, err := ssh.ParseRawPrivateKey([]byte(f.Value))
	if err != nil {
		return "", errors.New("it is made of the field private_key, which is not there, or not an SSH private key without a passphrase")
	}
	block, err := ssh.MarshalPrivateKey(key, "with-creds")
	if err != nil {
		return "", fmt.Errorf("rewriting private_key: %w", err)
	}
	return string(pem.EncodeToMemory(block)), nil
}
