package oidc

// Crowd has a provider hold refresh tokens of so many more people, and gives their names.
func (p *Provider) Crowd(people int) (names []string) {
	for range people {
		names = append(names, p.vault.hold(held{subject: "s", refresh: "r"}))
	}
	return names
}
