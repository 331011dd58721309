package ready

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// askAWS asks STS whose keys these are, which every user may (https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html). Keys of a
// new IAM user take some seconds to be known everywhere (https://developer.hashicorp.com/vault/docs/secrets/aws#usage); temporary ones are known at once.
func askAWS(ctx context.Context, o Options, c providers.Credential) (verdict, error) {
	value := func(name string) string { f, _ := c.Field(name); return f.Value }
	keys := awsKeys{id: value("access_key"), secret: value("secret_key")}
	if keys.id == "" || keys.secret == "" || value("session_token") != "" || value("security_token") != "" {
		return usable, nil
	}
	address, region, named := awsEndpoint(o.Lookup, value("region"))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(awsQuestion))
	if err != nil {
		return silent, fmt.Errorf("asking STS: %w", err)
	}
	keys.sign(request, region, time.Now())
	answer, err := o.Client.Do(request)
	if err != nil {
		return silent, fmt.Errorf("asking STS: %w", err) // the URL in it holds no secret: it is in the body and the header
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return silent, fmt.Errorf("reading STS's answer: %w", err)
	}
	if answer.StatusCode == http.StatusOK {
		return usable, nil
	}
	code := awsCode.FindSubmatch(body)
	if code == nil {
		return silent, fmt.Errorf("asking STS: an answer that is not STS's (%d)", answer.StatusCode)
	}
	switch string(code[1]) {
	case "SignatureDoesNotMatch":
		if awsClock.Match(body) { // SDKs put theirs right by the answer's date
			return silent, errors.New("asking STS: it says that the clock of this machine is wrong")
		}
		return unknown, errors.New("STS says SignatureDoesNotMatch")
	case "InvalidClientTokenId", "UnrecognizedClientException":
		if !named { // each partition, such as AWS's for China, knows its own keys alone
			return foreign, fmt.Errorf("STS of %s says %s, and no region is named: if these are the keys of another partition, name one in the spec (?region=us-gov-west-1), or in AWS_REGION", region, code[1])
		}
		return unknown, fmt.Errorf("STS says %s", code[1])
	}
	// Anything else (AccessDenied, Throttling) is said of keys that it knows.
	return usable, nil
}

const awsQuestion = "Action=GetCallerIdentity&Version=2011-06-15"

var (
	awsCode = regexp.MustCompile(`<Code>(\w+)</Code>`)
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
	awsClock = regexp.MustCompile(`Signature (expired|not yet current)`)
)

// awsEndpoint is where the command's own SDK would ask (https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html), and whether that is known: a region
// in the profile of ~/.aws/config is not looked for.
func awsEndpoint(lookup func(string) (string, bool), region string) (address, in string, named bool) {
	get := func(name string) string {
		if lookup == nil {
			return ""
		}
		if v, ok := lookup(name); ok {
			return v
		}
		return ""
	}
	region = cmp.Or(region, get("AWS_REGION"), get("AWS_DEFAULT_REGION"))
	named = region != ""
	region = cmp.Or(region, "us-east-1")
	for _, name := range []string{"AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"} {
		if v := get(name); v != "" {
			return strings.TrimSuffix(v, "/") + "/", region, true
		}
	}
	domain := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		domain += ".cn"
	}
	return "https://sts." + url.PathEscape(region) + "." + domain + "/", region, named
}

type awsKeys struct{ id, secret string }

// sign adds a signature of version 4 to the question: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func (k awsKeys) sign(r *http.Request, region string, now time.Time) {
	const headers = "content-type;host;x-amz-date"
	stamp := now.UTC().Format("20060102T150405Z")
	scope := stamp[:8] + "/" + region + "/sts/aws4_request"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("X-Amz-Date", stamp)
	canonical := strings.Join([]string{
		http.MethodPost, r.URL.EscapedPath(), "",
		"content-type:" + r.Header.Get("Content-Type"), "host:" + r.URL.Host, "x-amz-date:" + stamp, "",
		headers, hash(awsQuestion),
	}, "\n")
	key := []byte("AWS4" + k.secret)
	for _, part := range []string{stamp[:8], region, "sts", "aws4_request"} {
		key = mac(key, part)
	}
	signature := mac(key, strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hash(canonical)}, "\n"))
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", k.id, scope, headers, signature))
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
