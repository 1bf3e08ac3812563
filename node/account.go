package node

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/localapi"
	"github.com/cordonmesh/cordon/node/local"
)

var (
	errNotAsRoot   = errors.New("several people use this machine, and each signs in with the account that they work with: run this as yourself, not as root (without sudo) nor as the daemon's own account, whose programs are nobody's")
	errSubordinate = errors.New("this account is one of those that another was given for containers (/etc/subuid): sign in with that other one")
	errNoSharing   = errors.New("shared: people at one machine are told apart on Linux alone, by a daemon that has an interface: leave out --shared, or --userspace")
)

// asker is who asks the local API, as far as it matters: at a machine of several
// people nobody sees or ends what is another's.
type asker struct {
	all  bool   // sees everybody's
	seat string // account whose sessions are theirs
}

// asks gives who asks.
func (n *Node) asks(ctx context.Context) asker {
	if !n.isShared() {
		return asker{all: true}
	}
	c := localapi.CallerOf(ctx)
	return asker{all: c.Role == localapi.RoleControl, seat: c.Account}
}

// seatFor gives the account for which somebody signs in; empty: the whole machine.
// Root can have no seat: it sees through the walls between the others'.
func (n *Node) seatFor(ctx context.Context) (string, error) {
	if !n.isShared() {
		return "", nil
	}
	who := n.asks(ctx)
	if who.all || who.seat == "" {
		return "", errNotAsRoot
	}
	if n.subIDs.isSubordinate(who.seat) {
		return "", errSubordinate
	}
	return who.seat, nil
}

// has tells whether a session concerns the asker: theirs, or the whole machine's.
func (a asker) has(s wire.Session) bool { return a.all || s.Seat == "" || s.Seat == a.seat }

// own gives the addresses of the asker's seat; none if they have none.
func (a asker) own(self *wire.SelfRecord) (own []netip.Addr) {
	if a.all {
		return nil
	}
	for i := range self.Seats {
		if seat := &self.Seats[i]; slices.ContainsFunc(self.Sessions, func(s wire.Session) bool { return s.ID == seat.Session && s.Seat == a.seat }) {
			own = append(own, seat.Addresses...)
		}
	}
	return own
}

// concern tells of flows whether they are the asker's or the machine's. Whose a flow
// was of a seat that is gone nobody knows any more, nor of one from before the asker
// signed in, whose address may have been another's: it is no other's to see.
func (a asker) concern(self *wire.SelfRecord) func(src, dst netip.Addr, began time.Time) bool {
	own := a.own(self)
	return func(src, dst netip.Addr, began time.Time) bool {
		if a.all || slices.Contains(self.Addresses, src) || slices.Contains(self.Addresses, dst) {
			return true
		}
		at := src
		if !slices.Contains(own, at) {
			at = dst
		}
		return slices.Contains(own, at) && !began.Before(signedIn(self, at))
	}
}

// signedIn gives when the session began that has an address.
func signedIn(self *wire.SelfRecord, a netip.Addr) time.Time {
	seat := seatAt(self.Seats, a)
	i := slices.IndexFunc(self.Sessions, func(s wire.Session) bool { return s.ID == seat.Session })
	return self.Sessions[i].At
}

// narrow takes from a status what is another's.
func (a asker) narrow(s *local.Status, self *wire.SelfRecord) {
	mine := a.concern(self)
	s.Refusals = slices.DeleteFunc(s.Refusals, func(r local.Refusal) bool { return !mine(r.Src.Addr(), r.Dst.Addr(), r.Time) })
	s.Endings = slices.DeleteFunc(s.Endings, func(e local.Ending) bool { return !mine(e.Src, e.Dst.Addr(), e.Cut) })
}

func (m *mesh) concern(who asker) func(src, dst netip.Addr, began time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return who.concern(&m.state.Self)
}

func (m *mesh) ownSeat(who asker) []netip.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	return who.own(&m.state.Self)
}

// mayAsk tells whether somebody may hear what a packet from an address here may do.
func (m *mesh) mayAsk(who asker, src netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return who.all || seatAt(m.state.Self.Seats, src) == nil || slices.Contains(who.own(&m.state.Self), src)
}

func (n *Node) isShared() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.identity != nil && n.identity.Shared
}

// share keeps whether several people use this machine, here, on the disk and in the
// machine's network.
func (n *Node) share(shared bool) error {
	kept, err := n.dir.UpdateIdentity(func(i *control.Identity) { i.Shared = shared })
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.identity = kept
	m := n.mesh
	n.mu.Unlock()
	if m == nil {
		return nil // the next one asks
	}
	return m.world.share(shared)
}

// mayShare tells whether people can be told apart here.
func (n *Node) mayShare() error {
	if n.cfg.Userspace || runtime.GOOS != "linux" {
		return errNoSharing
	}
	return nil
}

// beShared readies the machine for its people, before anybody signs in.
func (m *mesh) beShared() {
	if !m.node.isShared() {
		return
	}
	if err := m.world.share(true); err != nil {
		m.log.Error("nobody can sign in here", "error", err)
	}
}

// sharedWarnings say why people cannot use a machine that is meant for several.
func (m *mesh) sharedWarnings(self *wire.SelfRecord) (out []string) {
	if !m.node.isShared() {
		return nil
	}
	if self.User != "" {
		out = append(out, "this machine is "+self.User+"'s, and meant to be shared: nobody but the owner could sign in, and they not with an account: enrol it with a tag, or say `cordon up --shared=false`")
	}
	if len(m.world.gaps()) > 0 {
		out = append(out, errNoSeats.Error())
	}
	if from := m.node.subIDs.unseen(); from != "" {
		out = append(out, "accounts for containers come from "+from+" (subid in /etc/nsswitch.conf), where cordon cannot look them up, and whoever was given some can sign in with each: write their whole range into /etc/subuid, as "+from+":FIRST:COUNT")
	}
	return out
}
