package local

// Seal and Unseal are how the key keeps a person's password.
func (k *Key) Seal(user, phc string) []byte { return k.close(user, sealedPassword, []byte(phc)) }

func (k *Key) Unseal(user string, sealed []byte) (phc []byte, err error) {
	return k.open(user, sealedPassword, sealed)
}
