package vault

// LoginRefusals are the texts by which refusals of a login are told apart.
func LoginRefusals() []string {
	var all []string
	for _, row := range loginRows {
		all = append(all, row.holds)
	}
	return all
}
