package control

import (
	"fmt"
	"os"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

const (
	mapFile        = "map.log"
	revocationFile = "revocations.log"

	// Deltas may outweigh their Full by this much before a new Full is asked for.
	slack = 64 << 10
)

// Load gives the state of a cold start: the map on disk, verified and folded
// again, without the peers that were revoked since. An error means that there
// is no map to obey, which denies everything until the coordinator gives one.
func (d *Dir) Load(id *Identity) (wire.State, error) {
	trust, err := id.Trust()
	if err != nil {
		return wire.State{}, err
	}
	stamp, err := d.Stamp()
	if err != nil {
		return wire.State{}, err
	}
	revoked, err := d.loadRevocations(trust)
	if err != nil {
		return wire.State{}, err
	}
	log, err := d.read(mapFile)
	if err != nil {
		return wire.State{}, fmt.Errorf("reading the stored map: %w", err)
	}
	if log == nil {
		return wire.NewState(wire.Map{}, revoked), nil
	}
	records, whole, err := wire.DecodeLog(log)
	if err != nil {
		return wire.State{}, err
	}
	if whole < len(log) {
		if err := os.Truncate(d.file(mapFile), int64(whole)); err != nil {
			return wire.State{}, fmt.Errorf("cutting a torn record off the stored map: %w", err)
		}
	}
	d.full, d.all = 0, whole
	if len(records) > 0 {
		d.full = len(records[0].Payload)
	}
	floor := wire.Position{Incarnation: stamp.Incarnation, Epoch: stamp.Epoch, Revision: stamp.Revision}
	m, err := wire.Replay(trust, id.Recipient(), records, floor)
	if err != nil {
		return wire.NewState(wire.Map{}, revoked), err
	}
	return wire.NewState(m, revoked), nil
}

func (d *Dir) loadRevocations(trust *wire.Trust) (map[string]wire.RevokedKey, error) {
	records, err := d.revocations()
	if err != nil {
		return nil, err
	}
	return wire.ReplayRevocations(trust, records)
}

// revocations gives the revocations that this node keeps, as received.
func (d *Dir) revocations() ([]*wire.Signed, error) {
	log, err := d.read(revocationFile)
	if err != nil || log == nil {
		return nil, err
	}
	records, _, err := wire.DecodeLog(log)
	return records, err
}

// keep writes what was folded: a Full begins the file anew, a Delta is added. It
// says when the Deltas outweigh the Full.
func (d *Dir) keep(o wire.Opened) (heavy bool, err error) {
	switch o.Envelope().Body.(type) {
	case *wire.Envelope_Full:
		log, err := wire.EncodeLog([]*wire.Signed{o.Signed()})
		if err != nil {
			return false, err
		}
		d.full, d.all = len(log), len(log)
		return false, d.write(mapFile, log)
	case *wire.Envelope_Delta:
		record, err := wire.AppendRecord(nil, o.Signed())
		if err != nil {
			return false, err
		}
		if err := d.add(mapFile, record); err != nil {
			return true, err // the file may end in half a record: begin it anew
		}
		d.all += len(record)
		return d.all > 2*d.full+slack, nil
	case *wire.Envelope_Revocation:
		return false, d.keepRevocation(o.Signed())
	}
	return false, nil
}

func (d *Dir) keepRevocation(s *wire.Signed) error {
	have, err := d.revocations()
	if err != nil {
		return err
	}
	for _, old := range have {
		if proto.Equal(old, s) {
			return nil
		}
	}
	log, err := wire.EncodeLog(append(have, s))
	if err != nil {
		return err
	}
	return d.write(revocationFile, log)
}
