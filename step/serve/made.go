package serve

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/with-creds/with-creds/providers"
)

// makers are the fields that are made of others, anew for each credential.
var makers = map[string]func(c providers.Credential) (string, error){
	pkcs12Field:    store,
	sshKeyField:    openSSHKey,
	basicAuthField: basicAuth,
	npmRegistry:    npmKey,
}

// basicAuthField is user name and password as HTTP's basic authentication has them (RFC 7617, 2), and Docker's config.json.
const basicAuthField = "made:basic-auth"

func basicAuth(c providers.Credential) (string, error) {
	username, named := c.Field("username")
	password, ok := c.Field("password")
	if !named || !ok {
		return "", errors.New("it is made of the fields username and password, which are not both there")
	}
	if strings.Contains(username.Value, ":") {
		return "", errors.New("the user name has a colon, which basic authentication takes for its end")
	}
	return base64.StdEncoding.EncodeToString([]byte(username.Value + ":" + password.Value)), nil
}

// npmRegistry is server as npm begins a registry's settings: without its scheme, and with a slash at the end.
const npmRegistry = "made:npm-registry"

func npmKey(c providers.Credential) (string, error) {
	server, ok := c.Field("server")
	if !ok {
		return "", errors.New("it is made of the field server, which is not there: name the registry with ?server=")
	}
	_, host, found := strings.Cut(server.Value, "://")
	if !found {
		host = server.Value
	}
	host = strings.TrimRight(host, "/")
	if host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'=;#[]\\$`, r) }) {
		return "", errors.New("server must be a registry's host, or its URL")
	}
	return "//" + host + "/", nil
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
		c.Fields = append(c.Fields, providers.Field{Name: name, Value: value, Secret: name != npmRegistry})
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
