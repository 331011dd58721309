package command

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const (
	maxStderr = 64 << 10 // bytes that are kept of a program's standard error
	leastLong = 6        // bytes a secret has at least to be hidden; a shorter one would be found everywhere
)

// A limited buffer keeps the first bytes and drops the rest. (A bytes.Buffer embedded would bring a ReadFrom that knows of no limit.)
type limited struct {
	kept bytes.Buffer
	most int
	over bool
}

func (l *limited) Write(p []byte) (int, error) {
	keep := min(len(p), l.most-l.kept.Len())
	l.over = l.over || keep < len(p)
	l.kept.Write(p[:keep])
	return len(p), nil
}

// hide replaces secrets, and the forms in which programs print them most: each line of a longer one, base64, and escaped for a URL.
func hide(text string, secrets []string) string {
	var forms []string
	for _, s := range secrets {
		b := []byte(s)
		forms = append(forms, s, base64.StdEncoding.EncodeToString(b), base64.URLEncoding.EncodeToString(b), url.QueryEscape(s), url.PathEscape(s))
		for line := range strings.Lines(s) {
			forms = append(forms, strings.TrimSpace(line))
		}
	}
	slices.SortFunc(forms, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // the longest first: one may be in another
	for _, form := range forms {
		if len(form) >= leastLong {
			text = strings.ReplaceAll(text, form, "***")
		}
	}
	return text
}

var values = regexp.MustCompile(`[^\s"'{}\[\],:;=]+`)

// suspects are what may be secret in an answer that cannot be understood: everything that is long enough.
func suspects(answer []byte) []string {
	var list []string
	for _, v := range values.FindAll(answer[:min(len(answer), maxStderr)], 1000) {
		if len(v) >= leastLong {
			list = append(list, string(v))
		}
	}
	return list
}
