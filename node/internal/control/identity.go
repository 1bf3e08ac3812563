package control

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Identity is what enrolment gave this node. Losing it means enrolling again;
// nothing in it is secret.
type Identity struct {
	URL     string         `json:"url"` // of the coordinator
	Root    key.RootPublic `json:"root"`
	Node    string         `json:"node"`
	Chain   [][]byte       `json:"chain"`             // DER: leaf, mesh CA
	MapKeys [][]byte       `json:"mapKeys,omitempty"` // serialised MapKeyCertificates
	Pending bool           `json:"pending,omitempty"`
	Stopped bool           `json:"stopped,omitempty"` // `cordon down` was said
}

// Mesh id, derived from the root.
func (i *Identity) Mesh() wire.MeshID { return wire.MeshIDOf(i.Root) }

const identityFile = "identity.json"

// Identity reads the node's identity; nil if it never enrolled. A damaged file
// is an error: the node does not fall back to being nobody.
func (d *Dir) Identity() (*Identity, error) {
	id := new(Identity)
	ok, err := d.readJSON(identityFile, id)
	if err != nil || !ok {
		return nil, err
	}
	if id.Root.IsZero() || id.Node == "" || id.URL == "" {
		return nil, fmt.Errorf("%s is incomplete: remove the state directory and enrol again", d.file(identityFile))
	}
	return id, nil
}

// SaveIdentity writes the identity.
func (d *Dir) SaveIdentity(id *Identity) error { return d.writeJSON(identityFile, id) }

// Stamp is what must never go back, whatever becomes of the map's file: the
// greatest position that was enforced, with the time of its last lease.
type Stamp struct {
	Incarnation uint64    `json:"incarnation"`
	Epoch       uint64    `json:"epoch"`
	Revision    uint64    `json:"revision"`
	Lease       time.Time `json:"lease"`
}

const stampFile = "stamp.json"

// Stamp reads the stamp. A damaged one is an error, since an older map could
// hide behind its absence.
func (d *Dir) Stamp() (s Stamp, err error) {
	_, err = d.readJSON(stampFile, &s)
	return s, err
}

// SaveStamp writes the stamp.
func (d *Dir) SaveStamp(s Stamp) error { return d.writeJSON(stampFile, s) }

// Hints are the last known endpoints of peers. They are not trusted: a path is
// used only after its peer answered an authenticated probe.
type Hints map[string][]netip.AddrPort

const hintsFile = "hints.json"

// Hints reads the last known endpoints; damaged ones count as none, since
// nothing depends on them but speed.
func (d *Dir) Hints() Hints {
	h := Hints{}
	if _, err := d.readJSON(hintsFile, &h); err != nil {
		return Hints{}
	}
	return h
}

// SaveHints writes the last known endpoints.
func (d *Dir) SaveHints(h Hints) error { return d.writeJSON(hintsFile, h) }

const portFile = "port.json"

// Port gives the UDP port of the last run; 0 if it is not known.
func (d *Dir) Port() (port uint16) {
	if _, err := d.readJSON(portFile, &port); err != nil {
		return 0
	}
	return port
}

// SavePort notes the UDP port of this run.
func (d *Dir) SavePort(port uint16) error { return d.writeJSON(portFile, port) }
