//go:build linux

package engines

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/engines/trial"
	"github.com/with-creds/with-creds/testdata/harness"
)

// whoami asks STS by AWS's SDK for Python who one is.
const whoami = `"$PYTHON" -c '
import boto3
print(boto3.client("sts").get_caller_identity()["Arn"])'`

func withAWS(t *testing.T) (*trial.World, *harness.MotoServer) {
	t.Helper()
	w := trial.New(t)
	moto := harness.Moto(t)
	w.Mount("aws")
	w.Vault.Write("aws/config/root", map[string]any{
		"access_key": "AKIAVAULT", "secret_key": "stand-in", "region": "us-east-1", "iam_endpoint": moto.URL, "sts_endpoint": moto.URL,
	})
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
	for name, role := range map[string]map[string]any{
		"user":      {"credential_type": "iam_user", "policy_document": policy},
		"deploy":    {"credential_type": "assumed_role", "role_arns": "arn:aws:iam::123456789012:role/deploy"},
		"federated": {"credential_type": "federation_token", "policy_document": policy},
		"session":   {"credential_type": "session_token"},
	} {
		w.Vault.Write("aws/roles/"+name, role)
	}
	w.Env = append(trial.AnotherAtAWS(t), "PYTHON="+moto.Python, "AWS_ENDPOINT_URL="+moto.URL, "AWS_EC2_METADATA_DISABLED=true")
	return w, moto
}

// awsUsers are the users that there are.
func awsUsers(t *testing.T, moto *harness.MotoServer) string {
	t.Helper()
	c := exec.Command(moto.Python, "-c", `
import boto3
print(" ".join(u["UserName"] for u in boto3.client("iam").list_users()["Users"]))`)
	c.Env = []string{"AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_ENDPOINT_URL=" + moto.URL, "HOME=" + filepath.Dir(moto.Python)}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("listing users: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestAWSUser(t *testing.T) {
	w, moto := withAWS(t)
	r := w.Run("vault:aws/creds/user?region=us-east-1 as=aws", whoami+`; echo "region $AWS_REGION"; echo "key $AWS_SECRET_ACCESS_KEY"`).
		Succeeded(providers.Proven).Says("region us-east-1", "key ***")
	if !strings.Contains(r.Stdout, ":user/vault-") {
		t.Errorf("the command was not Vault's user:\n%s", r.Stdout)
	}
	if left := awsUsers(t, moto); left != "" {
		t.Errorf("left: %s", left)
	}
}

func TestAWSTemporaryCredentials(t *testing.T) {
	w, _ := withAWS(t)
	for role, want := range map[string]string{"deploy": ":assumed-role/deploy/", "federated": "arn:aws:", "session": "arn:aws:"} {
		for _, preset := range []string{"aws", "aws-endpoint"} {
			r := w.Run("vault:aws/sts/"+role+"?ttl=15m&region=us-east-1 as="+preset, whoami+`; echo "secret ${AWS_SECRET_ACCESS_KEY}${AWS_CONTAINER_AUTHORIZATION_TOKEN-}"`).
				Succeeded(providers.Expires).Says("secret ***").Lasts(15 * time.Minute)
			if !strings.Contains(r.Stdout, want) {
				t.Errorf("%s as=%s: the command was another:\n%s", role, preset, r.Stdout)
			}
		}
	}
	if r := w.Example("cloud/whoami.py", "3").Succeeded(providers.Expires); strings.Count(r.Stdout, ":assumed-role/deploy/") != 3 {
		t.Errorf("the command was another:\n%s", r.Stdout)
	}
}

func TestAWSEndpointIsAskedAgainWhenTheCredentialIsReplaced(t *testing.T) {
	w, moto := withAWS(t)
	w.Vault.Write("aws/config/lease", map[string]any{"lease": "6s", "lease_max": "9s"})
	w.Flags = []string{"--leash", "6s"}
	// One client, as a long-running program has it, until its keys have changed twice.
	w.Run("vault:aws/creds/user?region=us-east-1 as=aws-endpoint", `"$PYTHON" -c '
import boto3, sys, time, urllib.request, os
sts, seen, strangers, end = boto3.client("sts"), [], 0, time.time() + 60
while len(seen) < 3 and time.time() < end:
    arn = sts.get_caller_identity()["Arn"]
    strangers = 0 if ":user/vault-" in arn else strangers + 1
    if strangers > 1: sys.exit("asked twice with the keys of nobody, who is " + arn) # moto takes the keys of a user that is gone for its own
    if not strangers and arn not in seen: seen.append(arn)
    time.sleep(0.2)
print("users", len(seen))
try:
    urllib.request.urlopen(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
except urllib.error.HTTPError as e:
    print("without the token", e.code)
'`).Succeeded(providers.Proven).Says("users 3", "without the token 401")
	if left := awsUsers(t, moto); left != "" {
		t.Errorf("left: %s", left)
	}
}

func TestANewAWSUserIsWaitedForUntilSTSKnowsIt(t *testing.T) {
	w, moto := withAWS(t)
	to, err := url.Parse(moto.URL)
	if err != nil {
		t.Fatal(err)
	}
	behind := httputil.NewSingleHostReverseProxy(to)
	var refusals atomic.Int32 // that are still to come
	slow := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if refusals.Add(-1) >= 0 { // as STS does of keys that are some seconds old
			rw.WriteHeader(http.StatusForbidden)
			_, _ = rw.Write([]byte("<ErrorResponse><Error><Code>InvalidClientTokenId</Code></Error></ErrorResponse>"))
			return
		}
		behind.ServeHTTP(rw, r)
	}))
	t.Cleanup(slow.Close)
	w.Env = append(w.Env, "AWS_ENDPOINT_URL_STS="+slow.URL)
	refusals.Store(3)
	r := w.Run("vault:aws/creds/user?region=us-east-1 as=aws", whoami).Succeeded(providers.Proven)
	if !strings.Contains(r.Stdout, ":user/vault-") || !strings.Contains(r.Stderr, "waiting until it is usable") {
		t.Errorf("%s%s", r.Stdout, r.Stderr)
	}
	refusals.Store(1 << 20)
	w.Flags = []string{"--ready-timeout", "1s"}
	if r := w.Run("vault:aws/creds/user?region=us-east-1 as=aws", "echo started"); r.Code != 125 || r.Stdout != "" || !strings.Contains(r.Stderr, "InvalidClientTokenId") {
		t.Errorf("exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if left := awsUsers(t, moto); left != "" {
		t.Errorf("left: %s", left)
	}
}
