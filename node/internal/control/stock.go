package control

import (
	"net/netip"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

const stockFile = "stock.json"

// Heard gives where stock peers were last heard, by their keys: help for the next
// run, and nothing more. What cannot be read is not known.
func (d *Dir) Heard() map[key.TunnelPublic]netip.AddrPort {
	var heard map[key.TunnelPublic]netip.AddrPort
	if _, err := d.readJSON(stockFile, &heard); err != nil {
		return nil
	}
	return heard
}

// SaveHeard notes where stock peers were last heard.
func (d *Dir) SaveHeard(heard map[key.TunnelPublic]netip.AddrPort) error {
	return d.writeJSON(stockFile, heard)
}
