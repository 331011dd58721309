package sqluser

import "crypto/rand"

// NewPassword makes a password of at least 128 bits of randomness from A–Z and 2–7, which SASLprep (RFC 4013) leaves as it is and no
// connection string, shell or option file has to escape.
func NewPassword() string { return rand.Text() }
