package control

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Identity is what enrolment gave this node. Losing it means enrolling again;
// nothing in it is secret. What is on the disk has two writers, the daemon that
// goes up and down and the follower that hears of new keys, so both change it by
// [Dir.UpdateIdentity] and hold copies.
type Identity struct {
	URL     string         `json:"url"` // of the coordinator
	Root    key.RootPublic `json:"root"`
	Node    string         `json:"node"`
	Chain   [][]byte       `json:"chain"`             // DER: leaf, mesh CA
	MapKeys [][]byte       `json:"mapKeys,omitempty"` // serialised MapKeyCertificates
	Pending bool           `json:"pending,omitempty"`
	Stopped bool           `json:"stopped,omitempty"` // `cordon down` was said
	Shared  bool           `json:"shared,omitempty"`  // several people use the machine: `cordon up --shared`
}

// Mesh id, derived from the root.
func (i *Identity) Mesh() wire.MeshID { return wire.MeshIDOf(i.Root) }

// Recipient says whose messages this node takes.
func (i *Identity) Recipient() wire.Recipient { return wire.Recipient{Mesh: i.Mesh(), Node: i.Node} }

// Trust gives the map keys that the identity holds, verified anew.
func (i *Identity) Trust() (*wire.Trust, error) {
	trust := wire.NewTrust(i.Root)
	for _, b := range i.MapKeys {
		c := new(wire.MapKeyCertificate)
		if err := proto.Unmarshal(b, c); err != nil {
			return nil, fmt.Errorf("identity: a map key certificate does not decode: %w", err)
		}
		if err := trust.Add(c); err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
	}
	return trust, nil
}

// serialised gives a trust's certificates as an identity holds them.
func serialised(trust *wire.Trust) ([][]byte, error) {
	var out [][]byte
	for _, c := range trust.Certificates() {
		b, err := proto.Marshal(c)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

const identityFile = "identity.json"

// Identity reads the node's identity; nil if it never enrolled. A damaged file
// is an error: the node does not fall back to being nobody.
func (d *Dir) Identity() (*Identity, error) {
	id := new(Identity)
	ok, err := d.readJSON(identityFile, id)
	if err != nil {
		return nil, fmt.Errorf("%w: restore it, or remove the state directory and enrol again", err)
	}
	if !ok {
		return nil, nil
	}
	if id.Root.IsZero() || id.Node == "" || id.URL == "" {
		return nil, fmt.Errorf("%s is incomplete: restore it, or remove the state directory and enrol again", d.file(identityFile))
	}
	return id, nil
}

// SaveIdentity writes a new identity.
func (d *Dir) SaveIdentity(id *Identity) error {
	d.identity.Lock()
	defer d.identity.Unlock()
	return d.writeJSON(identityFile, id)
}

// UpdateIdentity changes what is on the disk, and gives it.
func (d *Dir) UpdateIdentity(change func(*Identity)) (*Identity, error) {
	d.identity.Lock()
	defer d.identity.Unlock()
	id, err := d.Identity()
	if err != nil {
		return nil, err
	}
	if id == nil {
		return nil, errors.New(d.file(identityFile) + " is gone: remove the state directory and enrol again")
	}
	change(id)
	return id, d.writeJSON(identityFile, id)
}

// Stamp is what must never go back, whatever becomes of the map's file: the
// greatest position that was enforced, with the time of its last lease.
type Stamp struct {
	Incarnation uint64    `json:"incarnation"`
	Epoch       uint64    `json:"epoch"`
	Revision    uint64    `json:"revision"`
	Lease       time.Time `json:"lease"`
}

// Position below which nothing is taken.
func (s Stamp) Position() wire.Position {
	return wire.Position{Incarnation: s.Incarnation, Epoch: s.Epoch, Revision: s.Revision}
}

const stampFile = "stamp.json"

// Stamp reads the stamp. A damaged one is an error, since an older map could
// hide behind its absence.
func (d *Dir) Stamp() (s Stamp, err error) {
	if _, err = d.readJSON(stampFile, &s); err != nil {
		return Stamp{}, err
	}
	return s, nil
}

// SaveStamp writes the stamp.
func (d *Dir) SaveStamp(s Stamp) error { return d.writeJSON(stampFile, s) }

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
