// Package compile turns a policy and a directory of nodes into what each node
// needs: the rules about itself, the peers that it may talk to, and the class of
// each of their prefixes.
//
// The idea. Every name that a rule uses is a selector. Every prefix that a node
// has or routes, or that the policy names, is matched by a set of selectors: its
// signature. Prefixes with one signature cannot be told apart by the policy, and
// form a class; the class's number is a hash of the signature. Rules are
// compiled once, over classes. So a node of a known class joins without a single
// rule changing anywhere, and nodes with the same classes share one rule set.
//
// Prefixes nest: a routed 10.33.0.0/16 may hold a 10.33.1.0/24 that the policy
// names. The longest prefix decides, and takes on the selectors of all around it.
//
// What the package promises:
//
//   - An incremental change leaves a [Mesh] as a fresh one would be, and the
//     [Change] that it returns is exactly what nodes then see differently.
//   - Its cost follows the nodes affected, not the mesh.
//   - What is unclear is denied: an address that two nodes claim is in no class.
//   - A name selects a node's addresses, never the routes behind it, and
//     an address never opens the node's other one. What is forbidden, or in a
//     segment, by one of its addresses is so by all of them.
//
// A default route is no subnet route: * and autogroup:internet lead there, and
// no literal. Nodes are told of none as yet: what has an approved 0.0.0.0/0 is
// judged here, and carried by nobody.
// Who may join, which routes are approved and how maps travel is left to others.
package compile

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/gaissmai/bart"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// Node is what the directory says of one node.
type Node struct {
	ID     string   // for ever the same, and unique
	Name   string   // for people
	User   string   // login of the owner; without effect when Tags are set
	Tags   []string // in any letter case
	Addrs  []netip.Addr
	Routes []netip.Prefix // approved ones only

	Also     []string       // other logins by which the policy may name the owner
	UserName string         // the owner's name, for policies that write NAME@
	Roles    []string       // the owner's roles: "admin"
	Groups   []string       // the owner's groups at an identity provider, or the coordinator's own: "scim:Nurses"
	Elected  []netip.Prefix // those of Routes for which it was elected before others that have them too

	Devices []Device      // behind it, without a daemon, that it vouches for
	Facts   []acl.FactEnd // of the node and of whoever sits at it
	Seats   []Seat        // of those who sit there each for themselves
}

// Mesh is a policy compiled for a directory of nodes. It is not safe for
// concurrent use: one goroutine owns it. What its methods return is never
// changed afterwards and must not be changed by the caller.
type Mesh struct {
	pol    *policy.Policy
	ranges []netip.Prefix
	book   *book

	table     *bart.Table[*entry] // every prefix that matters
	nodes     map[string]*node
	byOwner   map[acl.Owner][]*node
	classes   map[string]*class // by signature
	byNum     map[acl.Class]*class
	profiles  map[string]*profile
	ssh       *sshBook // nil until somebody asks
	exits     []*node  // that have an approved default route
	declared  Declared
	lifted    map[*zone][]lift // by what is declared; nil until somebody asks
	day       time.Time        // from which on nodes know schedules
	now       time.Time        // at which it judges
	tried     *attempt         // of the source's device, in a test of ssh rules that says something of it
	risk      bool             // a device's risk is supposed
	supposing bool             // what nodes cannot do is taken for done
	supposed  []acl.FactEnd    // of whoever asks, besides what is known; sorted
	room      *room            // nil, but while nodes are loaded within bounds
	round     uint64           // stamps marks
	pad       pad
}

// New gives a mesh without nodes. The ranges are those from which nodes have
// their addresses: they are what * stands for as a source. A nil policy denies
// all.
func New(pol *policy.Policy, ranges []netip.Prefix) *Mesh { return newMesh(pol, ranges, false) }

func newMesh(pol *policy.Policy, ranges []netip.Prefix, signIn bool) *Mesh {
	m := &Mesh{
		pol: pol, ranges: slices.Clone(ranges), book: newBook(pol, signIn), table: new(bart.Table[*entry]),
		nodes: make(map[string]*node), byOwner: make(map[acl.Owner][]*node),
		classes: make(map[string]*class), byNum: make(map[acl.Class]*class), profiles: make(map[string]*profile),
	}
	for prefix, ids := range m.book.literals {
		m.entry(prefix).literals = ids
	}
	for _, prefix := range m.ranges {
		if prefix.IsValid() {
			m.entry(prefix.Masked()).inRange = true
		}
	}
	t := m.begin(bulk)
	t.signAll()
	t.link()
	return m
}

// Load puts many nodes at once, at a start: it tells no change, and costs far
// less than one Put for each.
func (m *Mesh) Load(nodes []Node) {
	t := m.begin(bulk)
	for _, n := range nodes {
		said := m.book.read(n)
		if m.room.spend(len(said.Addrs) * len(said.selectors)); m.room.over() {
			return
		}
		t.put(said)
	}
	t.signAll()
	if m.room.over() {
		return
	}
	for _, n := range m.nodes {
		r := m.recordOf(n)
		if m.room.spend(routedCases * len(r.prefixes)); m.room.over() {
			return
		}
		n.settle(m, r, m.standingOf(n))
	}
	t.link()
}

// Policy gives the policy that is compiled.
func (m *Mesh) Policy() *policy.Policy { return m.pol }

// Node gives a node as it was put, without its default routes.
func (m *Mesh) Node(id string) Node {
	if n, ok := m.nodes[id]; ok {
		return n.Node
	}
	return Node{ID: id}
}

// Prefixes gives a node's prefixes with their classes, sorted: what its peers
// are told of it, and what it is told of itself. A prefix that no rule knows is
// left out. It is nil for an unknown node.
func (m *Mesh) Prefixes(id string) []acl.PrefixClass {
	if n, ok := m.nodes[id]; ok {
		return n.record.prefixes
	}
	return nil
}

// Owner gives the owner of a node: zero for a tagged or unknown one.
func (m *Mesh) Owner(id string) acl.Owner {
	if n, ok := m.nodes[id]; ok {
		return n.record.owner
	}
	return 0
}

// Facts gives what is known of a node or of whoever sits at it, of what the policy
// asks for, sorted: what its peers are told.
func (m *Mesh) Facts(id string) []acl.FactEnd {
	if n, ok := m.nodes[id]; ok {
		return n.record.facts
	}
	return nil
}

// hash64 is the first 64 bits of SHA-256, and never zero: zero means none.
func hash64(text []byte) uint64 {
	sum := sha256.Sum256(text)
	return max(1, binary.BigEndian.Uint64(sum[:8]))
}

func ownerOf(login string) acl.Owner { return acl.Owner(hash64([]byte("owner:" + login))) }
