package control

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

const (
	mapFile        = "map.log"
	revocationFile = "revocations.log"

	// Deltas may outweigh their Full by this much before a new Full is asked for.
	slack = 64 << 10

	// A map key that signed something in the stored map can't be forgotten. Where
	// little happens its Deltas would hold the keys of many years.
	maxSigners = 8
)

// Load gives the state of a cold start: the map on disk, verified and folded
// again, without the peers that were revoked since. An error means that there
// is no map to obey, which denies everything until the coordinator gives one.
func (d *Dir) Load(id *Identity) (wire.State, error) {
	d.signers = nil
	trust, err := id.Trust()
	if err != nil {
		return wire.State{}, err
	}
	revoked, err := d.loadRevocations(trust)
	if err != nil {
		return wire.State{}, fmt.Errorf("%s: %w", d.file(revocationFile), err)
	}
	none := wire.NewState(wire.Map{}, revoked)
	stamp, err := d.Stamp()
	if err != nil {
		return none, err
	}
	log, err := d.read(mapFile)
	if err != nil {
		return none, fmt.Errorf("reading the stored map: %w", err)
	}
	if log == nil {
		d.torn = true // a Delta has nothing to be added to
		d.signers = signersOf(nil)
		return none, nil
	}
	m, err := d.replay(trust, id.Recipient(), log, stamp.Position())
	if err != nil {
		d.torn = true
		return none, fmt.Errorf("%s: %w", d.file(mapFile), err)
	}
	return wire.NewState(m, revoked), nil
}

func (d *Dir) replay(trust *wire.Trust, to wire.Recipient, log []byte, floor wire.Position) (wire.Map, error) {
	records, whole, err := wire.DecodeLog(log)
	if err != nil {
		return wire.Map{}, err
	}
	m, err := wire.Replay(trust, to, records, floor)
	if err != nil {
		return wire.Map{}, err
	}
	d.full, d.all, d.signers = len(records[0].Payload), whole, signersOf(records)
	// A torn record is cut off, so that the next one does not stand behind rubbish.
	// On a disk that does not let us, the map is as good, and nothing is added to it.
	d.torn = whole < len(log) && os.Truncate(d.file(mapFile), int64(whole)) != nil
	return m, nil
}

func (d *Dir) loadRevocations(trust *wire.Trust) (map[string]wire.RevokedKey, error) {
	log, err := d.read(revocationFile)
	if err != nil || log == nil {
		return nil, err
	}
	records, _, err := wire.DecodeLog(log)
	if err != nil {
		return nil, err
	}
	return wire.ReplayRevocations(trust, records)
}

// errTorn says that a Delta was not added to a file that lacks what it starts from.
var errTorn = errors.New("the stored map is behind the one in force until the coordinator sends a Full")

// keep writes what was folded into s: a Full begins the file anew, a Delta is
// added. It says when a new Full would be better than what is on the disk,
// because the Deltas outweigh the old one or because a write failed.
func (d *Dir) keep(o wire.Opened, s wire.State) (heavy bool, err error) {
	switch o.Envelope().Body.(type) {
	case *wire.Envelope_Full:
		log, err := wire.EncodeLog([]*wire.Signed{o.Signed()})
		if err == nil {
			err = d.write(mapFile, log)
		}
		if d.torn = err != nil; d.torn {
			return true, err
		}
		d.full, d.all = len(log), len(log)
		if d.signers != nil {
			d.signers = signersOf([]*wire.Signed{o.Signed()})
		}
	case *wire.Envelope_Delta:
		return d.keepDelta(o.Signed())
	case *wire.Envelope_Revocation:
		return d.torn, d.keepRevocations(s.Revoked)
	}
	return d.torn, nil
}

func (d *Dir) keepDelta(s *wire.Signed) (heavy bool, err error) {
	if d.torn {
		return true, errTorn
	}
	record, err := wire.AppendRecord(nil, s)
	if err == nil {
		err = d.add(mapFile, record)
	}
	if err != nil {
		// The file may end in half a record: what came behind it would be lost.
		d.torn = true
		return true, err
	}
	d.all += len(record)
	if d.signers != nil {
		addSigner(d.signers, s)
	}
	return d.all > 2*d.full+slack || len(d.signers) > maxSigners, nil
}

func signersOf(records []*wire.Signed) map[key.MapPublic]bool {
	out := map[key.MapPublic]bool{}
	for _, s := range records {
		addSigner(out, s)
	}
	return out
}

// addSigner adds the map key of what was verified.
func addSigner(to map[key.MapPublic]bool, s *wire.Signed) {
	if k, err := key.MapPublicFrom(s.GetMapKey()); err == nil {
		to[k] = true
	}
}

// keepRevocations writes all of them. One file that could not be read at the
// start is put aside for whoever wants to know what happened to it.
func (d *Dir) keepRevocations(all map[string]wire.RevokedKey) error {
	log, err := wire.EncodeLog(inOrder(all))
	if err != nil {
		return err
	}
	if old, err := d.read(revocationFile); err == nil && old != nil {
		if _, _, err := wire.DecodeLog(old); err != nil {
			if err := os.Rename(d.file(revocationFile), d.file(revocationFile+".damaged")); err != nil {
				return err
			}
		}
	}
	return d.write(revocationFile, log)
}

// inOrder gives revocations as received, in the order of their nodes.
func inOrder(all map[string]wire.RevokedKey) []*wire.Signed {
	out := make([]*wire.Signed, 0, len(all))
	for _, node := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[node].Signed)
	}
	return out
}
