//go:build linux

package engines

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/with-creds/with-creds/testdata/engines/trial"
)

func TestKeyValueStores(t *testing.T) {
	w := trial.New(t)
	w.Vault.Mount("kv", "kv-v2")
	w.Vault.Mount("old", "kv")
	token := rand.Text()
	trial.Eventually(t, "the store is ready", func() bool {
		status, _ := w.Vault.Raw(w.Vault.RootToken, "PUT", "kv/data/app", fmt.Sprintf(`{"data":{"token":%q}}`, token))
		return status == 200
	})
	w.Vault.Write("old/app", map[string]any{"token": token})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			rw.WriteHeader(http.StatusUnauthorized)
		}
		fmt.Fprintln(rw, "welcome, "+token)
	}))
	t.Cleanup(server.Close)
	w.Example("kv/call.sh", server.URL).Succeeded("").Says("welcome, ***").Hides(token)
	for _, spec := range []string{"vault:kv/data/app API_TOKEN=token", "vault:old/app API_TOKEN=token"} {
		r := w.Run(spec, `echo "token $API_TOKEN"; printf %s "$API_TOKEN" | wc -c`).
			Succeeded("").Says("token ***", strconv.Itoa(len(token))).Hides(token)
		if c := r.Receipt.Credentials[0]; c.Lease != "" || c.Revocation != nil {
			t.Errorf("the receipt speaks of something to revoke: %+v", c)
		}
	}
}

// withRegistry is a secret in a store, and a registry, of images and of npm's packages, that lets in who knows it. REGISTRY is its host and port.
func withRegistry(t *testing.T) *trial.World {
	t.Helper()
	w := trial.New(t)
	w.Vault.Mount("secret", "kv")
	password, token := rand.Text()+`"\\@:/`, rand.Text()
	w.Vault.Write("secret/registry", map[string]any{"username": "ci", "password": password, "token": token, "server": "another.example"})
	mux := http.NewServeMux()
	mux.HandleFunc("/v2/", func(rw http.ResponseWriter, r *http.Request) {
		if user, given, _ := r.BasicAuth(); user != "ci" || given != password {
			rw.Header().Set("WWW-Authenticate", `Basic realm="images"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		const config, manifest = `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`, "application/vnd.docker.distribution.manifest.v2+json"
		if strings.Contains(r.URL.Path, "/blobs/") {
			fmt.Fprint(rw, config)
			return
		}
		rw.Header().Set("Content-Type", manifest)
		fmt.Fprintf(rw, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":%d,"digest":"sha256:%x"},"layers":[]}`,
			manifest, len(config), sha256.Sum256([]byte(config)))
	})
	mux.HandleFunc("/npm/-/whoami", func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		fmt.Fprint(rw, `{"username":"ci"}`)
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	w.Env = []string{"REGISTRY=" + strings.TrimPrefix(server.URL, "https://")}
	return w
}

// What docker's own configuration says, of this host and by variables that rank above it, is not asked.
func TestDockerIsLetInToTheRegistryThatIsNamed(t *testing.T) {
	w := withRegistry(t)
	host := strings.TrimPrefix(w.Env[0], "REGISTRY=")
	others := fmt.Sprintf(`{"auths":{%q:{"auth":"b3RoZXI6b3RoZXI="}}}`, host)
	w.Env = append(w.Env, "DOCKER_AUTH_CONFIG="+others, "OTHERS="+others)
	w.Run("vault:secret/registry?server="+host+" as=docker", `
		mkdir "$HOME/.docker"; echo "$OTHERS" >"$HOME/.docker/config.json"
		stat -c '%a %F' "$DOCKER_CONFIG" "$DOCKER_CONFIG/config.json" "$REGISTRY_AUTH_FILE"; cmp "$DOCKER_CONFIG/config.json" "$REGISTRY_AUTH_FILE"
		cat "$DOCKER_CONFIG/config.json"
		if command -v docker >/dev/null; then docker manifest inspect --insecure "$REGISTRY/app:1"; else
			curl -ksSf -H "Authorization: Basic $(jq -r '.auths[].auth' "$REGISTRY_AUTH_FILE")" "https://$REGISTRY/v2/"; fi | grep -o manifest.v2
		env | grep -c DOCKER_AUTH_CONFIG || echo 'and nobody else'`).
		Succeeded("").Says("700 directory", "600 regular file", "manifest.v2", "and nobody else", fmt.Sprintf(`{"auths":{%q:{"auth":"***"}}}`, host))
}

func TestNpmIsLetInToTheRegistryThatIsNamed(t *testing.T) {
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("no npm here:", err)
	}
	w := withRegistry(t)
	host := strings.TrimPrefix(w.Env[0], "REGISTRY=")
	w.Env = append(w.Env, "npm_config_userconfig=/nonexistent", "npm_config_update_notifier=false", "npm_config_strict_ssl=false")
	for _, server := range []string{host + "/npm", "https://" + host + "/npm/"} {
		w.Run("vault:secret/registry?server="+server+" as=npm", `
			echo "//$REGISTRY/npm/:_authToken=others" >"$HOME/.npmrc"; mkdir project; cd project
			stat -c %a "$NPM_CONFIG_USERCONFIG"
			echo "it is $(npm whoami --registry "https://$REGISTRY/npm/")"`).Succeeded("").Says("600", "it is ci")
	}
}

func TestAPresetOfOnesOwnInTheDotenvFile(t *testing.T) {
	w := trial.New(t)
	w.Vault.Mount("old", "kv")
	w.Vault.Write("old/shop", map[string]any{"username": "till", "password": rand.Text() + "/@"})
	w.Shell("vault:old/shop", `
		cat >.with-creds.env <<-'END'
			WITH_CREDS="vault:old/shop as=shop"
			WITH_CREDS_PRESET_SHOP='SHOP_URL="https://{username|url}:{password|url}@shop" SHOP_KEY=@password SHOP_MODE==till'
		END
		exec with-creds -- sh -c '
			test "$SHOP_URL" = "https://till:$(sed s,/@$,%2F%40, "$SHOP_KEY")@shop" && echo the same in both
			echo "$SHOP_MODE"; echo "key $(cat "$SHOP_KEY")"; stat -c %a "$SHOP_KEY"'`).
		End().Succeeded("").Says("the same in both", "till", "key ***", "600")
}

// jwt is a token of a service account, signed by nobody in particular.
func jwt(t *testing.T) string {
	t.Helper()
	part := base64.RawURLEncoding.EncodeToString
	now := time.Now().Unix()
	signed := part([]byte(`{"alg":"ES256"}`)) + "." + part(fmt.Appendf(nil, `{"iat":%d,"exp":%d,"sub":"system:serviceaccount:shop:deployer"}`, now, now+600))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + part(signature[:])
}

// kill ends a process that a command under test named.
func kill(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil || n < 2 {
		t.Fatalf("%q is no process", pid)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
