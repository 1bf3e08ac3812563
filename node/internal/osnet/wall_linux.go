package osnet

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
)

// wall is a table of nftables, one for each mesh. It stands where routing cannot
// help:
//
//   - Linux takes a packet for any of its addresses on any interface. Without the
//     wall who is on the same network reaches this node's mesh addresses past the
//     tunnel, and speaks to its other addresses in a peer's name.
//   - Routes and rules can be taken away by others, and packets for the mesh then
//     leave in clear until they are put back. The wall refuses them meanwhile.
//
// It says no and nothing else: what it lets pass is still for this machine's own
// firewall to judge. It needs no connection tracking. It outlives a killed daemon,
// whose successor takes it over.
//
// A kernel without nftables must not keep a machine out of the mesh: trouble is
// kept and shown, and everything else goes on.
type wall struct {
	name    string
	conn    *nftables.Conn        // nil: there is no nftables here
	socket  *netlink.Conn         // conn's; nil: each call has one of its own
	trouble atomic.Pointer[error] // of the last try to make the table
}

// answerWithin bounds how long the kernel may take over the wall. A machine with
// a great many rules of others is slow to change any.
const answerWithin = 20 * time.Second

// newWall opens a socket in the calling thread's network namespace, and changes
// nothing yet.
func newWall(name string) *wall {
	w := &wall{name: name}
	var socket *netlink.Conn
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		socket = c
		return c.SetDeadline(time.Now().Add(answerWithin))
	}))
	if err != nil {
		w.trouble.Store(&err)
		return w
	}
	w.conn, w.socket = conn, socket
	return w
}

// set makes the table what p says, if it is not that already.
func (w *wall) set(p plan) {
	if w.conn == nil {
		return
	}
	if err := w.swap(p); err != nil {
		w.reset()
		w.trouble.Store(&err)
		return
	}
	w.trouble.Store(nil)
}

// swap puts the new table in the old one's place, in one transaction.
func (w *wall) swap(p plan) error {
	before, err := w.read(p)
	if err != nil || before.String() == p.String() {
		return err
	}
	p.adopt(before)
	w.conn.AddTable(p.table) // so that there is one to delete
	w.conn.DelTable(p.table)
	w.conn.AddTable(p.table)
	for _, c := range p.chains {
		w.conn.AddChain(c)
	}
	for _, s := range p.sets {
		if err := w.conn.AddSet(s, p.elements[s.Name]); err != nil {
			return err
		}
	}
	for _, r := range p.rules {
		w.conn.AddRule(r)
	}
	return w.conn.Flush()
}

// stands tells whether the table is what p says. Where it could not be made it is
// not said to have been lost.
func (w *wall) stands(p plan) bool {
	if w.conn == nil || w.trouble.Load() != nil {
		return true
	}
	is, err := w.read(p)
	return err == nil && is.String() == p.String()
}

// read asks the kernel for the table, the sets in the order of like. What somebody
// deletes meanwhile is not in it; a table that is not there is an empty plan.
func (w *wall) read(like plan) (is plan, err error) {
	w.extend()
	all, err := w.conn.ListChainsOfTableFamily(like.table.Family)
	if err != nil {
		return is, fmt.Errorf("list the chains: %w", err)
	}
	for _, c := range all {
		if c.Table.Name != like.table.Name {
			continue
		}
		is.chains = append(is.chains, c)
		rules, err := w.conn.GetRules(like.table, c)
		if err != nil {
			w.reset()
			continue
		}
		is.rules = append(is.rules, rules...)
	}
	if is.chains == nil {
		return is, nil
	}
	is.elements = make(map[string][]nftables.SetElement)
	for _, s := range like.sets {
		elements, err := w.conn.GetSetElements(s)
		if err != nil {
			w.reset()
			continue
		}
		is.sets = append(is.sets, s)
		is.elements[s.Name] = elements
	}
	return is, nil
}

// remove takes the table away.
func (w *wall) remove() error {
	if w.conn == nil || w.trouble.Load() != nil {
		return nil
	}
	w.extend()
	w.conn.AddTable(wallTable(w.name)) // so that there is one to delete
	w.conn.DelTable(wallTable(w.name))
	if err := w.conn.Flush(); err != nil {
		return fmt.Errorf("osnet: remove the table %s of nftables: %w", wallTable(w.name).Name, err)
	}
	return nil
}

func (w *wall) extend() {
	if w.socket != nil {
		_ = w.socket.SetDeadline(time.Now().Add(answerWithin))
	}
}

// reset gives up the socket after an error: answers may be left in it that would be
// taken for those of the next question. From then on each call has one of its own.
func (w *wall) reset() {
	if w.conn != nil {
		w.conn.CloseLasting()
		w.socket = nil
	}
}

// setWall builds what the last Apply wanted.
func (n *Network) setWall() { n.wall.set(planOf(n.cfg, n.want)) }

// Unwalled tells why this machine's nftables do not guard the mesh's addresses, in
// words for who runs the machine; nil if they do. It is no reason not to run.
func (n *Network) Unwalled() error {
	err := n.wall.trouble.Load()
	if err == nil {
		return nil
	}
	return fmt.Errorf("the table %s of nftables could not be made (%w): machines on the same network can reach this node past the tunnel, and packets for the mesh may leave in clear while its routes are gone: does the kernel have nf_tables, and does nobody else own that table?",
		wallTable(n.cfg.Name).Name, *err)
}
