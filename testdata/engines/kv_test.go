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
	"strconv"
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
