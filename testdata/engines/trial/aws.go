//go:build linux

package trial

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// AnotherAtAWS is the environment of one who is logged in to AWS already, in every way that outranks another somewhere: in both files, for the default profile and a
// named one, as a container and by a web identity.
func AnotherAtAWS(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	const keys = "aws_access_key_id = AKIAOTHER\naws_secret_access_key = others\n"
	for name, profile := range map[string]string{"config": "profile other", "credentials": "other"} {
		text := fmt.Sprintf("[default]\n%s[%s]\n%s", keys, profile, keys)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{
		"AWS_CONFIG_FILE=" + filepath.Join(dir, "config"), "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(dir, "credentials"), "AWS_PROFILE=other",
		"AWS_SESSION_TOKEN=others", "AWS_SECURITY_TOKEN=others", "AWS_ACCESS_KEY=AKIAOTHER", "AWS_SECRET_KEY=others", "AWS_CREDENTIAL_EXPIRATION=2020-01-01T00:00:00Z",
		"AWS_WEB_IDENTITY_TOKEN_FILE=/nonexistent", "AWS_ROLE_ARN=arn:aws:iam::123456789012:role/other",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/other", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/nonexistent",
	}
}
