package registry

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/coordinator/internal/ipam"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// stateVersion is raised when the form of a checkpoint changes.
const stateVersion = 1

// document is a State as a checkpoint has it. Lists are sorted, so that equal
// states give equal bytes.
type document struct {
	Version     int              `json:"v"`
	Mesh        wire.MeshID      `json:"mesh"`
	Domain      string           `json:"domain"`
	IPv4        ipam.Pool        `json:"ipv4"`
	IPv6        ipam.Pool        `json:"ipv6"`
	Incarnation uint64           `json:"incarnation"`
	Epoch       uint64           `json:"epoch"`
	Revision    uint64           `json:"revision"`
	Nodes       []*Node          `json:"nodes"`
	Tokens      []*Token         `json:"tokens"`
	Revocations []Revocation     `json:"revocations"`
	Policies    []*PolicyVersion `json:"policies"`
	Observed    *Observation     `json:"observed,omitempty"`
	SignIn      *bool            `json:"signIn,omitempty"` // nil: nobody has said
	Users       []*User          `json:"users,omitempty"`
	Sessions    []*Session       `json:"sessions,omitempty"`
	Resting     []*Rest          `json:"resting,omitempty"`
	Groups      []*Group         `json:"groups,omitempty"`
	Locals      []*Local         `json:"locals,omitempty"`

	Roles  map[string][]string `json:"roles,omitempty"` // by user
	Grants []Grant             `json:"grants,omitempty"`
}

// EncodeState gives the bytes of a state. Equal states give equal bytes.
func EncodeState(s *State) ([]byte, error) {
	b, err := json.Marshal(document{
		Version: stateVersion, Mesh: s.Mesh, Domain: s.Domain, IPv4: s.IPv4, IPv6: s.IPv6,
		Incarnation: s.Incarnation, Epoch: s.Epoch, Revision: s.Revision,
		Nodes:       slices.SortedFunc(s.Nodes(), func(a, b *Node) int { return strings.Compare(a.ID, b.ID) }),
		Tokens:      slices.SortedFunc(s.tokens.Values(), func(a, b *Token) int { return strings.Compare(a.ID, b.ID) }),
		Revocations: slices.SortedFunc(s.revoked.Values(), compareRevocations),
		Policies:    s.policies,
		Observed:    s.observed,
		SignIn:      s.signInWord(),
		Users:       s.SortedUsers(),
		Sessions:    s.SortedSessions(),
		Resting:     s.SortedRests(),
		Groups:      s.SortedGroups(),
		Roles:       s.rolesWords(),
		Grants:      s.SortedGrants(),
		Locals:      s.SortedLocals(),
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the state of revision %d: %w", s.Revision, err)
	}
	return b, nil
}

func compareRevocations(a, b Revocation) int {
	return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), bytes.Compare(a.Key.Bytes(), b.Key.Bytes()))
}

// DecodeState reads what EncodeState wrote. Two nodes with one key, name or
// address are refused: whoever wrote that was not a registry.
func DecodeState(b []byte) (*State, error) {
	var d document
	if err := strict(b, &d); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	if d.Version != stateVersion {
		return nil, fmt.Errorf("checkpoint has version %d, this program knows %d; use the program that wrote it, or a newer one",
			d.Version, stateVersion)
	}
	s, err := d.state()
	if err != nil {
		return nil, fmt.Errorf("checkpoint of revision %d: %w", d.Revision, err)
	}
	return s, nil
}

func (d *document) state() (*State, error) {
	if d.Mesh == (wire.MeshID{}) {
		return nil, errors.New("it is of no mesh")
	}
	if d.hasGaps() {
		return nil, errors.New("nothing stands where a node, token, policy, person or session should")
	}
	s := &State{Mesh: d.Mesh, Domain: d.Domain, IPv4: d.IPv4, IPv6: d.IPv6,
		Incarnation: d.Incarnation, Revision: d.Revision, policies: d.Policies, observed: d.Observed}
	if d.SignIn != nil {
		s.SignIn, s.signInSaid = *d.SignIn, true
	}
	for _, t := range d.Tokens {
		s.putToken(t)
	}
	for _, r := range d.Revocations {
		s.putRevocation(r)
	}
	s.Epoch = max(s.Epoch, d.Epoch)
	for _, g := range d.Groups {
		s.putGroup(g)
	}
	// People sit at nodes, and what somebody may hangs on the person.
	for _, restore := range []func() error{
		func() error { return s.restoreNodes(d.Nodes) },
		func() error { return s.restorePeople(d.Users, d.Sessions, d.Locals) },
		func() error { return s.restoreRests(d.Resting) },
		func() error { return s.restoreRoles(d.Roles) },
		func() error { return s.restoreGrants(d.Grants) },
		s.uniqueAddresses,
	} {
		if err := restore(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// hasGaps tells whether a null stands in one of the lists.
func (d *document) hasGaps() bool {
	return slices.Contains(d.Nodes, nil) || slices.Contains(d.Tokens, nil) || slices.Contains(d.Policies, nil) ||
		slices.Contains(d.Users, nil) || slices.Contains(d.Groups, nil) || slices.Contains(d.Locals, nil) ||
		slices.ContainsFunc(d.Sessions, func(one *Session) bool { return one == nil || len(one.Logins) == 0 })
}

func (s *State) restoreNodes(nodes []*Node) error {
	for _, n := range nodes {
		if err := s.admissible(n); err != nil {
			return err
		}
		s.putNode(n)
	}
	return nil
}

func (s *State) restoreRoles(roles map[string][]string) error {
	for id, some := range roles {
		if _, known := s.User(id); !known || len(some) == 0 {
			return fmt.Errorf("roles of nobody, or none: %q", id)
		}
		s.putRoles(id, some)
	}
	return nil
}

// admissible checks that n can stand beside the nodes that are there.
func (s *State) admissible(n *Node) error {
	if n.Key.IsZero() || n.ID != wire.NodeID(n.Key) {
		return fmt.Errorf("node %q does not have the id of its key", n.ID)
	}
	if _, taken := s.Node(n.ID); taken {
		return fmt.Errorf("node %q stands there twice", n.ID)
	}
	if _, taken := s.NodeByName(n.Name); taken {
		return fmt.Errorf("two nodes have the name %q", n.Name)
	}
	if _, taken := s.byTunnel.Get(n.TunnelKey); taken {
		return fmt.Errorf("node %q has another one's tunnel key", n.ID)
	}
	if _, revoked := s.Revoked(n.Key); revoked {
		return fmt.Errorf("node %q has a revoked key", n.ID)
	}
	return nil
}

func (s *State) signInWord() *bool {
	if !s.signInSaid {
		return nil
	}
	return &s.SignIn
}

// restorePeople puts back who is known, who sits where, and by what people prove who
// they are.
func (s *State) restorePeople(users []*User, sessions []*Session, locals []*Local) error {
	for _, u := range users {
		_, twice := s.User(u.ID)
		if taken := slices.ContainsFunc(u.logins(), func(l string) bool { _, taken := s.UserByLogin(l); return taken }); taken || twice {
			return fmt.Errorf("person %q stands there twice", u.Login)
		}
		if u.Provision != nil {
			if _, twice := s.recorded(u.Provision.ID); twice {
				return fmt.Errorf("record %q stands there twice", u.Provision.ID)
			}
		}
		s.putUser(u)
	}
	for _, one := range sessions {
		_, node := s.Node(one.Node)
		if _, user := s.User(one.User); !node || !user {
			return fmt.Errorf("session %q is of nobody, or at no node", one.ID)
		}
		if (one.Seat == "") != (len(one.Addresses) == 0) {
			return fmt.Errorf("session %q has a seat without addresses, or addresses without one", one.ID)
		}
		s.putSession(one)
	}
	for _, l := range locals {
		u, known := s.User(l.User)
		_, twice := s.Local(l.User)
		if !known || twice || u.Issuer != LocalIssuer {
			return fmt.Errorf("a password or passkey is of %q, who has others, or none, or is not known", l.User)
		}
		s.putLocal(l)
	}
	return nil
}

// strict decodes exactly one JSON value without unknown fields.
func strict(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more bytes follow the value")
	}
	return nil
}
