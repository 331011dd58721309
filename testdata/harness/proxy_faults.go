//go:build !windows

package harness

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"time"
)

// A HTTPFault is what happens to one request in place of its being passed on; it reports whether the connection goes on.
type HTTPFault func(*Exchange) bool

// pass is no fault.
func pass(e *Exchange) bool {
	answer, last, err := e.forward()
	if err != nil {
		return false
	}
	_, err = e.client.Write(answer)
	return err == nil && !last
}

// Answer gives an answer that is not Vault's; the request does not reach it. Headers are pairs of name and value.
func Answer(status int, body string, headers ...string) HTTPFault {
	header := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i+1 < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	answer := answerOf(status, header, []byte(body), false)
	return func(e *Exchange) bool {
		_, err := e.client.Write(answer)
		return err == nil
	}
}

// HugeAnswer is a good answer in form, of that many bytes.
func HugeAnswer(size int64) HTTPFault {
	return func(e *Exchange) bool {
		response := &http.Response{
			StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(io.LimitReader(letters{}, size)), ContentLength: size,
		}
		return response.Write(e.client) == nil
	}
}

// letters are a string of JSON that does not end.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// HangUp closes the connection without an answer; the request does not reach Vault.
func HangUp(*Exchange) bool { return false }

// Reset breaks the connection (RST) without an answer; the request does not reach Vault.
func Reset(e *Exchange) bool {
	_ = e.client.SetLinger(0)
	return false
}

// ResetAfter lets Vault answer, and then breaks the connection in place of passing the answer on.
func ResetAfter(e *Exchange) bool {
	_, _, _ = e.forward()
	return Reset(e)
}

// Truncate passes on the first half of Vault's answer.
func Truncate(e *Exchange) bool {
	answer, _, err := e.forward()
	if err == nil {
		_, _ = e.client.Write(answer[:max(len(answer)/2, bytes.Index(answer, []byte("\r\n\r\n"))+5)])
	}
	return false
}

// Delay passes the request on after that time.
func Delay(d time.Duration) HTTPFault {
	return func(e *Exchange) bool { return e.wait(d) && pass(e) }
}

// Silence never answers; the request does not reach Vault.
func Silence(e *Exchange) bool {
	select {
	case <-e.gone:
	case <-e.proxy.closed:
	}
	return false
}

// SilenceAfter lets Vault answer, and passes on nothing.
func SilenceAfter(e *Exchange) bool {
	_, _, _ = e.forward()
	return Silence(e)
}

// Refuse breaks every connection and for that time refuses new ones, as a server that is restarted does.
func Refuse(d time.Duration) HTTPFault {
	return func(e *Exchange) bool {
		p := e.proxy
		address := strings.TrimPrefix(p.Addr, "http://")
		p.hangUp()
		p.serving.Go(func() {
			select {
			case <-time.After(d):
			case <-p.closed:
				return
			}
			for p.listen(address) != nil {
				select {
				case <-time.After(10 * time.Millisecond):
				case <-p.closed:
					return
				}
			}
		})
		return false
	}
}
