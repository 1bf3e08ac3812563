package stock

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Gateway is the node that fronts a client, as the client needs to know it.
type Gateway struct {
	Name      string
	Key       key.TunnelPublic
	Endpoints []netip.AddrPort // where it may be reached, the likeliest first
	Reach     []netip.Prefix   // what lies beyond it
	MTU       int              // of the tunnels
}

// KeyText is a public key as wg(8) writes it.
func KeyText(k key.TunnelPublic) string {
	raw := k.Raw()
	return base64.StdEncoding.EncodeToString(raw[:])
}

// Config is the configuration of the client's end, for wg-quick(8) and for those who
// type it into an appliance. Its private key is the client's own: it is left out.
func (p *Peer) Config(g Gateway) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, behind the Cordon node %s.\n[Interface]\n", p.Name, g.Name)
	b.WriteString("# Its own, made there by `wg genkey`, and never anywhere else:\n# PrivateKey =\n")
	fmt.Fprintf(&b, "Address = %s\nMTU = %d\n\n[Peer]\nPublicKey = %s\nAllowedIPs = %s\n", join(p.Allowed), g.MTU, KeyText(g.Key), join(g.Reach))
	switch len(g.Endpoints) {
	case 0:
		b.WriteString("# Where the node can be reached is not known yet:\n# Endpoint =\n")
	case 1:
		fmt.Fprintf(&b, "Endpoint = %s\n", g.Endpoints[0])
	default:
		fmt.Fprintf(&b, "Endpoint = %s\n# Or, from elsewhere:\n", g.Endpoints[0])
		for _, e := range g.Endpoints[1:] {
			fmt.Fprintf(&b, "# Endpoint = %s\n", e)
		}
	}
	b.WriteString("PersistentKeepalive = 25\n")
	return b.String()
}
