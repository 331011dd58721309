package serve

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// openAWS serves the keys as AWS SDKs ask for them: the container credential provider
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html), over HTTP on loopback, which is where SDKs admit it.
func openAWS(_ []string, e *Endpoints) error {
	if _, err := e.need("access_key", "secret_key"); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening on loopback: %w", err)
	}
	h := awsHandler{endpoints: e, host: listener.Addr().String(), token: rand.Text()}
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
	}
	go server.Serve(listener) //nolint:errcheck // it ends with Close
	e.closers = append(e.closers, server)
	e.add("served:aws-url", "http://"+h.host+awsPath, false)
	e.add("served:aws-token", h.token, true)
	return nil
}

const awsPath = "/credentials"

type awsHandler struct {
	endpoints *Endpoints
	host      string
	token     string
}

// ServeHTTP answers who knows the token and asked for this very address: a page in a browser can reach loopback by a name of its own, but
// neither knows the token nor can leave that name out of the request.
func (h awsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	given := r.Header.Get("Authorization")
	switch {
	case r.Host != h.host || r.Header.Get("Origin") != "":
		refuse(w, http.StatusForbidden, "ForeignHost", "this address is asked for by its number, and by no web page")
	case subtle.ConstantTimeCompare([]byte(given), []byte(h.token)) != 1:
		refuse(w, http.StatusUnauthorized, "InvalidToken", "the Authorization header is not AWS_CONTAINER_AUTHORIZATION_TOKEN")
	case r.URL.Path != awsPath:
		refuse(w, http.StatusNotFound, "NotFound", "nothing is here")
	case r.Method != http.MethodGet:
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "GET alone is answered")
	default:
		h.answer(w)
	}
}

// refuse answers in the form whose message SDKs print.
func refuse(w http.ResponseWriter, status int, code, message string) {
	reply(w, status, map[string]string{"code": code, "message": "with-creds: " + message})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // an error is how a client goes away
}

// awsKeys is the answer. All fields but Token are required by one SDK or another, Expiration included, and Java's wants it in UTC.
type awsKeys struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string `json:"SecretAccessKey"`
	Token           string `json:"Token"`
	Expiration      string `json:"Expiration"`
}

func (h awsHandler) answer(w http.ResponseWriter) {
	c := h.endpoints.source.Current()
	var keys awsKeys
	for _, f := range c.Fields {
		switch f.Name {
		case "access_key":
			keys.AccessKeyID = f.Value
		case "secret_key":
			keys.SecretAccessKey = f.Value
		case "session_token", "security_token":
			keys.Token = f.Value
		}
	}
	// An IAM user's keys have no end but their lease's, which moves on as that is renewed: SDKs ask again before it, and hear of the new one.
	ends := c.Lease.Expires
	if ends.IsZero() {
		ends = time.Now().Add(time.Hour)
	}
	keys.Expiration = ends.UTC().Format(time.RFC3339)
	reply(w, http.StatusOK, keys)
}
