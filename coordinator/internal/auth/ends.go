package auth

import "time"

// End is a key or certificate of the mesh with the time in which it is good.
type End struct {
	Name        string
	From, Until time.Time
}

// Ends gives what of the mesh's own keys has an end. All but the root is replaced
// long before, by a coordinator that has the root.
func (a *Authority) Ends() []End {
	m := a.now.Load()
	return []End{
		{"of the mesh root", m.rootCert.NotBefore, m.rootCert.NotAfter},
		{"of the mesh CA", m.caCert.NotBefore, m.caCert.NotAfter},
		{"that signs maps", m.mapEnd.Add(-mapLife), m.mapEnd},
	}
}
