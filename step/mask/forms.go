package mask

import "encoding/base64"

// appendForms adds the forms in which a tool may print a secret.
func appendForms(forms []string, value string) []string {
	return append(forms, value)
}

// appendBasic adds the forms of HTTP's basic authorization value.
func appendBasic(forms []string, user, secret string) []string {
	return append(forms, base64.StdEncoding.EncodeToString([]byte(user+":"+secret)))
}
