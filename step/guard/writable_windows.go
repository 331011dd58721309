package guard

// writable would say why no file could be made in a directory; here that is seen when one is made.
func writable(string) error { return nil }
