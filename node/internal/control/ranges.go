package control

import (
	"net/netip"
)

const rangesFile = "ranges.json"

// Ranges gives the mesh's address ranges, as the last map named them; none if
// they are not known. They are apart from the map, so that what is for the mesh
// stays on the machine also when its map cannot be obeyed.
func (d *Dir) Ranges() (ranges []netip.Prefix) {
	if _, err := d.readJSON(rangesFile, &ranges); err != nil {
		return nil
	}
	return ranges
}

// SaveRanges notes the mesh's address ranges.
func (d *Dir) SaveRanges(ranges []netip.Prefix) error { return d.writeJSON(rangesFile, ranges) }
