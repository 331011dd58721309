//go:build linux

package engines

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/engines/trial"
)

// withPKI is a Vault whose roles issue certificates, and a TLS server that asks for one of them and says whose it was.
func withPKI(t *testing.T) *trial.World {
	t.Helper()
	w := trial.New(t)
	w.Mount("pki")
	ca := w.Vault.Write("pki/root/generate/internal", map[string]any{"common_name": "ca.test", "ttl": "24h", "key_type": "ec"}).Data["certificate"].(string)
	for name, key := range map[string]string{"client": "ec", "any": "any"} {
		w.Vault.Write("pki/roles/"+name, map[string]any{"allow_any_name": true, "allow_ip_sans": true, "max_ttl": "1h", "key_type": key})
	}
	own := w.Vault.Write("pki/issue/client", map[string]any{"common_name": "server.test", "ip_sans": "127.0.0.1", "alt_names": "localhost"})
	pair, err := tls.X509KeyPair([]byte(own.Data["certificate"].(string)), []byte(own.Data["private_key"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM([]byte(ca))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(rw, "hello "+r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	w.Env = []string{"URL=" + server.URL, "ADDRESS=" + strings.TrimPrefix(server.URL, "https://")}
	return w
}

// revoked reports whether the authority's list has a certificate, by the lease in the receipt.
func revoked(w *trial.World, r trial.Run) bool {
	w.T.Helper()
	_, serial, _ := strings.Cut(r.Receipt.Credentials[0].Lease, "/cert/")
	number, ok := new(big.Int).SetString(strings.ReplaceAll(serial, ":", ""), 16)
	if !ok {
		w.T.Fatalf("no serial number in %q", r.Receipt.Credentials[0].Lease)
	}
	return listed(w, number)
}

func listed(w *trial.World, number *big.Int) bool {
	w.T.Helper()
	_, der := w.Vault.Raw(w.Vault.RootToken, "GET", "pki/crl", "")
	list, err := x509.ParseRevocationList([]byte(der))
	if err != nil {
		w.T.Fatal(err)
	}
	return slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool { return e.SerialNumber.Cmp(number) == 0 })
}

func TestPKIMutualTLS(t *testing.T) {
	trial.Has(t, "curl", "curl")
	trial.Has(t, "openssl", "openssl")
	w := withPKI(t)
	for _, spec := range []string{
		"vault:pki/issue/client?common_name=ci.example.com&ttl=10m as=pki",
		"vault:pki/sign/any?common_name=ci.example.com&ttl=10m&csr=generate as=pki",
		"vault:pki/sign/any?common_name=ci.example.com&ttl=10m&csr=generate-ed25519 as=pki",
	} {
		r := w.Run(spec, `
			curl -sS --cert "$TLS_CERT" --key "$TLS_KEY" --cacert "$TLS_CA" "$URL"
			printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -quiet -verify_return_error -connect $ADDRESS -cert "$TLS_CHAIN" -key "$TLS_KEY" -CAfile "$TLS_CA" 2>/dev/null | grep -o 'hello.*' | sed 's/hello/again/'
			curl -sS --cacert "$TLS_CA" "$URL" 2>/dev/null || echo 'not without it'
			cat "$TLS_KEY"`).
			Succeeded(providers.Proven).Says("hello ci.example.com", "again ci.example.com", "not without it")
		if !revoked(w, r) {
			t.Errorf("%s: the certificate is not on the revocation list", spec)
		}
		if strings.Contains(strings.ReplaceAll(r.Stdout, "***", ""), "MI") || strings.Count(r.Stdout, "\n") > 20 {
			t.Errorf("%s: the key is in the output:\n%s", spec, r.Stdout)
		}
	}
}

func TestPKIExample(t *testing.T) {
	trial.Has(t, "curl", "curl")
	w := withPKI(t)
	url, _ := strings.CutPrefix(w.Env[0], "URL=")
	if r := w.Example("pki/call.sh", url).Succeeded(providers.Proven).Says("hello ci.example.com"); !revoked(w, r) {
		t.Error("the certificate is not on the revocation list")
	}
}

func TestACertificateThatEndsIsReplacedAndTheOldOneRevoked(t *testing.T) {
	trial.Has(t, "curl", "curl")
	trial.Has(t, "openssl", "openssl")
	w := withPKI(t)
	// Two minutes at most: until there have been three that the server takes. Each is a file of its own in $OLD.
	out := t.TempDir()
	w.Env = append(w.Env, "OLD="+out)
	r := w.Run("vault:pki/issue/client?common_name=ci.example.com&ttl=12s as=pki", `
		seen=; n=0; end=$(($(date +%s) + 120))
		while [ $n -lt 3 ] && [ "$(date +%s)" -lt $end ]; do
			now=$(cksum <"$TLS_CHAIN")
			if [ "$now" != "$seen" ] && cat "$TLS_CHAIN" "$TLS_KEY" >both && curl -sS --cert both --cacert "$TLS_CA" "$URL" 2>/dev/null | grep -q 'hello ci'; then
				seen=$now; n=$((n + 1)); cp "$TLS_CERT" "$OLD/$n"
			fi
			sleep 0.2
		done
		echo "certificates $n"`).Says("certificates 3")
	// One that ends within two seconds is not revoked: that is the last one's case where a machine is slow.
	if proof := r.Receipt.Credentials[0].Revocation.Proof; r.Code != 0 || proof != providers.Proven && proof != providers.Expires {
		t.Errorf("exit code %d, revocation is %s\n%s", r.Code, proof, r.Stderr)
	}
	if n := r.Receipt.Credentials[0].Replacements; n < 2 {
		t.Errorf("%d replacements in the receipt", n)
	}
	for n := 1; n <= 3; n++ {
		text, err := os.ReadFile(filepath.Join(out, strconv.Itoa(n)))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if time.Until(c.NotAfter) > 2*time.Second && !listed(w, c.SerialNumber) {
			t.Errorf("certificate %d is not on the revocation list", n)
		}
	}
}

func TestPKIStoreForJavaAndWindows(t *testing.T) {
	w := withPKI(t)
	r := w.Run("vault:pki/issue/client?common_name=ci.example.com&ttl=10m as=pki-pkcs12 CA=@issuing_ca", `
		openssl pkcs12 -in "$TLS_PKCS12" -passin env:TLS_PKCS12_PASSWORD -nokeys -info 2>&1 | grep -c 'BEGIN CERTIFICATE'
		curl -sS --cert-type P12 --cert "$TLS_PKCS12:$TLS_PKCS12_PASSWORD" --cacert "$CA" "$URL"
		echo "password $TLS_PKCS12_PASSWORD"`).
		Succeeded(providers.Proven).Says("hello ci.example.com", "2")
	// A secret that is not text may begin or end with what *** is made of: then another marker is taken.
	if !regexp.MustCompile(`(?m)^password (\*{3}|.masked.)$`).MatchString(r.Stdout) {
		t.Errorf("the password is not masked:\n%s", r.Stdout)
	}
	if !revoked(w, r) {
		t.Error("the certificate is not on the revocation list")
	}
}

func TestACertificateWhoseRevocationThePolicyForbidsIsSaidToExpire(t *testing.T) {
	w := withPKI(t)
	w.Vault.Policy("issue-only", `path "pki/issue/client" { capabilities = ["update"] }`)
	w.Env = append(w.Env, "VAULT_TOKEN="+w.Vault.Token("issue-only"))
	w.Run("vault:pki/issue/client?common_name=ci.example.com&ttl=10m as=pki", "true").Succeeded(providers.Expires).Lasts(10 * time.Minute)
}

func withKubernetes(t *testing.T) (*trial.World, *httptest.Server) {
	t.Helper()
	w := trial.New(t)
	api := kubernetes(t)
	w.Mount("kubernetes")
	w.Vault.Write("kubernetes/config", map[string]any{"kubernetes_host": api.URL, "service_account_jwt": "stand-in", "disable_local_ca_jwt": true})
	w.Vault.Write("kubernetes/roles/deploy", map[string]any{"allowed_kubernetes_namespaces": "*", "service_account_name": "deployer", "token_default_ttl": "10m"})
	return w, api
}

func TestKubernetesTokenInAPrivateKubeconfig(t *testing.T) {
	w, api := withKubernetes(t)
	out := filepath.Join(t.TempDir(), "token")
	w.Env = []string{"OUT=" + out}
	r := w.Run("vault:kubernetes/creds/deploy?kubernetes_namespace=shop&server="+api.URL+" as=kubernetes", `
		cat "$KUBECONFIG"; stat -c %a "$KUBECONFIG"
		token=$(jq -r '.users[0].user.token' "$KUBECONFIG")
		curl -sS -H "Authorization: Bearer $token" "$(jq -r '.clusters[0].cluster.server' "$KUBECONFIG")/whoami"
		printf %s "$token" >"$OUT"`).
		Succeeded(providers.Expires).Says("600", "deployer in shop").Lasts(10 * time.Minute)
	// Vault deletes what it made, and of an account that was there before it made nothing: the token is as good as it was, and no receipt may say that it is gone.
	token, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL+"/whoami", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the token is gone (%d): then the receipt should say so", answer.StatusCode)
	}
	text, _, _ := strings.Cut(r.Stdout, "600")
	var config struct {
		Kind     string
		Contexts []struct{ Context struct{ Namespace string } }
	}
	if err := json.Unmarshal([]byte(text), &config); err != nil || config.Kind != "Config" || config.Contexts[0].Context.Namespace != "shop" {
		t.Errorf("%v in %s", err, text)
	}
	// A file that is named is looked for from where the run was started.
	w.Run("vault:kubernetes/creds/deploy?kubernetes_namespace=shop&certificate_authority=ca.pem&server="+api.URL+" as=kubernetes", `
		test "$(jq -r '.clusters[0].cluster."certificate-authority"' "$KUBECONFIG")" = "$PWD/ca.pem" && echo here`).Succeeded(providers.Expires).Says("here")
}

func TestKubectlThatIsTheFirstToHearOfTheServerIsNobodyElse(t *testing.T) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("no kubectl here:", err)
	}
	w, api := withKubernetes(t)
	over := httptest.NewTLSServer(api.Config.Handler) // it sends no token in the clear
	t.Cleanup(over.Close)
	w.Env = []string{"API=" + over.URL, "KUBECONFIG=/an/admins"}
	w.Run("vault:kubernetes/creds/deploy?kubernetes_namespace=shop as=kubernetes", `
		kubectl --insecure-skip-tls-verify --server="$API" get --raw /whoami; kubectl config view -o jsonpath='{.users[*].name}'`).
		Succeeded(providers.Expires).Says("deployer in shop", "with-creds")
}

// kubernetes answers as the API server does to a TokenRequest (https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/),
// and tells whose token one is.
func kubernetes(t *testing.T) *httptest.Server {
	t.Helper()
	token := jwt(t)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost && r.URL.Path == "/api/v1/namespaces/shop/serviceaccounts/deployer/token":
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(http.StatusCreated)
			fmt.Fprintf(rw, `{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","spec":{"expirationSeconds":600},"status":{"token":%q}}`, token)
		case r.URL.Path == "/whoami" && r.Header.Get("Authorization") == "Bearer "+token:
			fmt.Fprintln(rw, "deployer in shop")
		default:
			http.Error(rw, r.Method+" "+r.URL.Path, http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	if _, _, err := net.SplitHostPort(server.Listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	return server
}
