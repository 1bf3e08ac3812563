package registry

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/internal/ipam"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Entry is an event in its place: it leads from Revision-1 to Revision.
type Entry struct {
	Revision uint64
	Time     time.Time
	Event    Event
}

// Event is something that happened. It carries what became of things, not what
// was asked for, so that reading a journal back decides nothing anew.
type Event interface {
	kind() string
	apply(s *State, e Entry)
}

// The events.
type (
	// Initialised begins the mesh, at incarnation 1.
	Initialised struct {
		Mesh   wire.MeshID `json:"mesh"`
		Domain string      `json:"domain"`
		IPv4   ipam.Pool   `json:"ipv4"`
		IPv6   ipam.Pool   `json:"ipv6"`
	}
	// NodeEnrolled adds a node, spends one use of its token and moves the pools.
	NodeEnrolled struct {
		Node Node      `json:"node"`
		IPv4 ipam.Pool `json:"ipv4"`
		IPv6 ipam.Pool `json:"ipv6"`
	}
	// NodeChanged replaces a node: it reported, or was approved, tagged, or given
	// or refused routes. ID, Key and Addresses stay as they were.
	NodeChanged struct {
		Node Node `json:"node"`
	}
	// NodeRemoved takes a node away and revokes its key.
	NodeRemoved struct {
		Revocation Revocation `json:"revocation"`
	}
	// RevocationTaken revokes a key of which this state knew nothing, or only as a
	// node: a restored coordinator learns it from nodes.
	RevocationTaken struct {
		Revocation Revocation `json:"revocation"`
	}
	// TokenCreated adds a token.
	TokenCreated struct {
		Token Token `json:"token"`
	}
	// TokenRevoked ends a token.
	TokenRevoked struct {
		ID string `json:"id"`
	}
	// PolicySet puts a policy in force.
	PolicySet struct {
		File   string `json:"file"`
		Text   string `json:"text"`
		Author Actor  `json:"author"`

		Until   time.Time `json:"until,omitzero"`    // as PolicyVersion says
		Reverts uint64    `json:"reverts,omitempty"` // likewise

		parsed *policy.Policy // from the decision, to parse only once; nil when read back
	}
	// Observed replaces what was seen outside of the mesh.
	Observed struct {
		Duty map[string]map[string]time.Time `json:"duty,omitempty"`
	}
	// UserPut adds a person, or replaces what is known of them.
	UserPut struct {
		User User `json:"user"`
	}
	// UserForgotten drops what is known of a person, and that they were shut out.
	UserForgotten struct {
		ID string `json:"id"`
	}
	// SessionPut begins a session, or goes on with it; at one seat of one node it takes
	// the place of the same person's.
	SessionPut struct {
		Session Session    `json:"session"`
		IPv4    *ipam.Pool `json:"ipv4,omitempty"` // moved, by a seat's addresses; nil: not
		IPv6    *ipam.Pool `json:"ipv6,omitempty"`
	}
	// PeopleActive tells when people last did something, by id of the node at which
	// they are signed in at the whole machine.
	PeopleActive struct {
		At     map[string]int64 `json:"at"`               // Unix seconds
		Pauses map[string]int64 `json:"pauses,omitempty"` // Session.Pause in seconds, of those of whom it grew
		Seats  []SeatActive     `json:"seats,omitempty"`  // of those of whom it was told by session, sorted
	}
	// SessionsEnded ends sessions at a node.
	SessionsEnded struct {
		Node     string   `json:"node"`
		Sessions []string `json:"sessions"`
	}
	// SignInRequired says whether people must sign in.
	SignInRequired struct {
		Required bool `json:"required"`
	}
	// PolicyConfirmed lets the policy in force stay.
	PolicyConfirmed struct {
		By Actor `json:"by"`
	}
	// IncarnationBegun follows a restore.
	IncarnationBegun struct {
		Incarnation uint64    `json:"incarnation"`
		IPv4        ipam.Pool `json:"ipv4"`
		IPv6        ipam.Pool `json:"ipv6"`
	}
)

func (Initialised) kind() string      { return "initialised" }
func (NodeEnrolled) kind() string     { return "node-enrolled" }
func (NodeChanged) kind() string      { return "node-changed" }
func (NodeRemoved) kind() string      { return "node-removed" }
func (RevocationTaken) kind() string  { return "revocation-taken" }
func (TokenCreated) kind() string     { return "token-created" }
func (TokenRevoked) kind() string     { return "token-revoked" }
func (PolicySet) kind() string        { return "policy-set" }
func (PolicyConfirmed) kind() string  { return "policy-confirmed" }
func (IncarnationBegun) kind() string { return "incarnation-begun" }
func (UserPut) kind() string          { return "user-put" }
func (UserForgotten) kind() string    { return "user-forgotten" }
func (SessionPut) kind() string       { return "session-put" }
func (SessionsEnded) kind() string    { return "sessions-ended" }
func (SignInRequired) kind() string   { return "sign-in-required" }

// eventVersion is raised when an event's meaning changes; a program refuses a
// journal with events of a greater one.
const eventVersion = 1

// envelope is an Entry as a journal keeps it.
type envelope struct {
	Version int             `json:"v"`
	Kind    string          `json:"kind"`
	Time    time.Time       `json:"time"`
	Data    json.RawMessage `json:"data"`
}

// EncodeEntry gives the bytes of an entry for a journal, without its revision.
func EncodeEntry(e Entry) ([]byte, error) {
	data, err := json.Marshal(e.Event)
	if err != nil {
		return nil, fmt.Errorf("encoding event %d (%s): %w", e.Revision, e.Event.kind(), err)
	}
	return json.Marshal(envelope{eventVersion, e.Event.kind(), e.Time.UTC(), data})
}

// DecodeEntry reads what EncodeEntry wrote. An unknown kind, version or field is
// refused: a newer program wrote it, and to skip it would be to forget it.
func DecodeEntry(revision uint64, b []byte) (Entry, error) {
	var env envelope
	if err := strict(b, &env); err != nil {
		return Entry{}, fmt.Errorf("event %d: %w", revision, err)
	}
	if env.Version != eventVersion {
		return Entry{}, fmt.Errorf("event %d has version %d, this program knows %d; use the program that wrote it, or a newer one",
			revision, env.Version, eventVersion)
	}
	event, err := decodeEvent(env.Kind, env.Data)
	if err != nil {
		return Entry{}, fmt.Errorf("event %d (%q): %w", revision, env.Kind, err)
	}
	return Entry{Revision: revision, Time: env.Time, Event: event}, nil
}

func decodeEvent(kind string, data []byte) (Event, error) {
	switch kind {
	case Initialised{}.kind():
		return decodeAs[Initialised](data)
	case NodeEnrolled{}.kind():
		return decodeAs[NodeEnrolled](data)
	case NodeChanged{}.kind():
		return decodeAs[NodeChanged](data)
	case NodeRemoved{}.kind():
		return decodeAs[NodeRemoved](data)
	case RevocationTaken{}.kind():
		return decodeAs[RevocationTaken](data)
	case TokenCreated{}.kind():
		return decodeAs[TokenCreated](data)
	case TokenRevoked{}.kind():
		return decodeAs[TokenRevoked](data)
	case PolicySet{}.kind():
		return decodeAs[PolicySet](data)
	case Observed{}.kind():
		return decodeAs[Observed](data)
	case UserPut{}.kind():
		return decodeAs[UserPut](data)
	case UserForgotten{}.kind():
		return decodeAs[UserForgotten](data)
	case SessionPut{}.kind():
		return decodeAs[SessionPut](data)
	case PeopleActive{}.kind():
		return decodeAs[PeopleActive](data)
	case SessionsEnded{}.kind():
		return decodeAs[SessionsEnded](data)
	case LocalPut{}.kind():
		return decodeAs[LocalPut](data)
	case LocalProved{}.kind():
		return decodeAs[LocalProved](data)
	case SignInRequired{}.kind():
		return decodeAs[SignInRequired](data)
	case RoleGranted{}.kind():
		return decodeAs[RoleGranted](data)
	case RoleRevoked{}.kind():
		return decodeAs[RoleRevoked](data)
	case PolicyConfirmed{}.kind():
		return decodeAs[PolicyConfirmed](data)
	case IncarnationBegun{}.kind():
		return decodeAs[IncarnationBegun](data)
	case GroupPut{}.kind():
		return decodeAs[GroupPut](data)
	case GroupDropped{}.kind():
		return decodeAs[GroupDropped](data)
	}
	return nil, fmt.Errorf("unknown kind of event; use the program that wrote it, or a newer one")
}

func decodeAs[E Event](data []byte) (Event, error) {
	var e E
	err := strict(data, &e)
	return e, err
}
