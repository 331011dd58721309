// Command standin is a plugin of Vault's that stands in for services which cannot be had here: a database that makes users, and the secrets engines of
// Azure and Google Cloud with the answers that their documentation and source give. What exists at a moment is files in a directory.
//
//	standin database|secrets DIRECTORY
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "standin database|secrets DIRECTORY")
		os.Exit(2)
	}
	go endWith(os.Getppid())
	kept := directory(os.Args[2])
	if os.Args[1] == "database" {
		dbplugin.ServeMultiplex(func() (any, error) { return database{kept}, nil })
		return
	}
	if err := plugin.ServeMultiplex(&plugin.ServeOpts{BackendFactoryFunc: kept.backend}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// endWith ends this process when Vault, its parent, has ended: a test that is over kills that, and nobody else tells a plugin.
func endWith(parent int) {
	for os.Getppid() == parent {
		time.Sleep(200 * time.Millisecond)
	}
	os.Exit(0)
}

// A directory has a file for each user, service principal and key there is.
type directory string

func (d directory) add(name string) error {
	return os.WriteFile(filepath.Join(string(d), name), nil, 0o600)
}

func (d directory) remove(name string) error {
	err := os.Remove(filepath.Join(string(d), name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// A database takes any user name and password.
type database struct{ kept directory }

var _ dbplugin.Database = database{}

func (database) Initialize(_ context.Context, r dbplugin.InitializeRequest) (dbplugin.InitializeResponse, error) {
	return dbplugin.InitializeResponse{Config: r.Config}, nil
}

func (d database) NewUser(_ context.Context, r dbplugin.NewUserRequest) (dbplugin.NewUserResponse, error) {
	name := "v-" + r.UsernameConfig.RoleName + "-" + rand.Text()[:8]
	return dbplugin.NewUserResponse{Username: name}, d.kept.add(name)
}

func (database) UpdateUser(context.Context, dbplugin.UpdateUserRequest) (dbplugin.UpdateUserResponse, error) {
	return dbplugin.UpdateUserResponse{}, nil
}

func (d database) DeleteUser(_ context.Context, r dbplugin.DeleteUserRequest) (dbplugin.DeleteUserResponse, error) {
	return dbplugin.DeleteUserResponse{}, d.kept.remove(r.Username)
}

func (database) Type() (string, error) { return "standin", nil }
func (database) Close() error          { return nil }

// backend has the endpoints of both clouds' engines; a mount is asked for one's alone.
func (d directory) backend(ctx context.Context, config *logical.BackendConfig) (logical.Backend, error) {
	revocable := &framework.Secret{
		Type:   "standin",
		Fields: map[string]*framework.FieldSchema{"client_id": {Type: framework.TypeString}},
		Renew: func(_ context.Context, r *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
			return &logical.Response{Secret: r.Secret}, nil
		},
		Revoke: func(_ context.Context, r *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
			name, _ := r.Secret.InternalData["name"].(string)
			return nil, d.remove(name)
		},
	}
	leased := func(name string, data map[string]any) (*logical.Response, error) {
		answer := revocable.Response(data, map[string]any{"name": name})
		answer.Secret.TTL, answer.Secret.MaxTTL, answer.Secret.Renewable = time.Hour, 24*time.Hour, true
		return answer, d.add(name)
	}
	read := func(pattern string, answer func() (*logical.Response, error)) *framework.Path {
		return &framework.Path{
			Pattern: pattern,
			Fields:  map[string]*framework.FieldSchema{"name": {Type: framework.TypeString}, "ttl": {Type: framework.TypeDurationSecond}},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{Callback: func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
					return answer()
				}},
			},
		}
	}
	name := framework.GenericNameRegex("name")
	token := func() (*logical.Response, error) {
		ends := time.Now().Add(59 * time.Minute)
		return &logical.Response{Data: map[string]any{"token": "ya29." + rand.Text(), "token_ttl": 3540, "expires_at_seconds": ends.Unix()}}, nil
	}
	key := func() (*logical.Response, error) {
		id := rand.Text()
		file, err := keyFile(id)
		if err != nil {
			return nil, err
		}
		return leased("key-"+id, map[string]any{
			"private_key_data": base64.StdEncoding.EncodeToString(file), "key_algorithm": "KEY_ALG_RSA_2048", "key_type": "TYPE_GOOGLE_CREDENTIALS_FILE",
		})
	}
	b := &framework.Backend{
		BackendType: logical.TypeLogical,
		Secrets:     []*framework.Secret{revocable},
		Paths: []*framework.Path{
			// https://developer.hashicorp.com/vault/api-docs/secret/azure#generate-credentials
			read("creds/"+name, func() (*logical.Response, error) {
				id := rand.Text()
				return leased("principal-"+id, map[string]any{"client_id": id, "client_secret": rand.Text() + "~.-_"})
			}),
			// path_access_token.go in those releases of vault-plugin-secrets-azure that have it: an adal.Token, and no lease.
			read("token/"+name, func() (*logical.Response, error) {
				now := time.Now()
				return &logical.Response{Data: map[string]any{
					"access_token": "eyJ0." + rand.Text() + "." + rand.Text(), "refresh_token": "", "token_type": "Bearer", "resource": "https://management.azure.com/",
					"expires_in": 3599, "expires_on": now.Add(3599 * time.Second).Unix(), "not_before": now.Unix(),
				}}, nil
			}),
			// https://developer.hashicorp.com/vault/api-docs/secret/gcp
			read("roleset/"+name+"/key", key), read("static-account/"+name+"/key", key),
			read("roleset/"+name+"/token", token), read("static-account/"+name+"/token", token), read("impersonated-account/"+name+"/token", token),
		},
	}
	return b, b.Setup(ctx, config)
}

// keyFile is a key as Google's console gives it.
func keyFile(id string) ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(map[string]string{
		"type": "service_account", "project_id": "shop", "private_key_id": id, "client_email": "deploy@shop.iam.gserviceaccount.com", "client_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"auth_uri":    "https://accounts.google.com/o/oauth2/auth", "token_uri": "https://oauth2.googleapis.com/token",
	}, "", "  ")
}
