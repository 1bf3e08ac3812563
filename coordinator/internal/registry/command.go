package registry

import (
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Actor is who asks, as the edge knows it from the channel, and as the audit
// tells it: "operator:NAME", "token:ID", "admin:LOGIN/ID" (of a token), "user:LOGIN",
// "node:ID", "system".
type Actor string

// System is the coordinator itself.
const System Actor = "system"

// Operator is a person at the admin API.
func Operator(name string) Actor { return Actor("operator:" + name) }

// UserActor is a person who signed in.
func UserActor(login string) Actor { return Actor("user:" + login) }

// NodeActor is a node on its authenticated channel.
func NodeActor(id string) Actor { return Actor("node:" + id) }

// TokenActor is the holder of an admin token.
func TokenActor(id string) Actor { return Actor("token:" + id) }

const adminPrefix = "admin:"

// AdminActor is a person at the admin API, by the token of their admin session.
func AdminActor(login, token string) Actor { return Actor(adminPrefix + login + "/" + token) }

// Command is something that is asked for.
type Command interface {
	decide(d *decision) error
}

// The commands.
type (
	// Init begins the mesh. Ranges that are not valid take the defaults:
	// 100.64.0.0/10 must be given by name (ipam.DefaultIPv4), as must a random ULA,
	// for a decision is pure and makes nothing random.
	Init struct {
		Mesh       wire.MeshID
		Domain     string // lower-case DNS name; names are NAME.Domain
		IPv4, IPv6 netip.Prefix
	}

	// Enrol spends a token and makes a key a node. Key is the key of the caller's
	// channel; the statement must be signed by it. The name is made a label and
	// gets a number when it is taken.
	//
	// A key that is a node already is refused (ErrKnownKey), unless the same live
	// token admitted it: then this is the repetition of a call whose answer was
	// lost, and it gives the node as it is and spends nothing. A key that was
	// revoked is refused for ever (ErrRevokedKey).
	Enrol struct {
		Secret    SecretHash
		Key       key.NodePublic
		Name      string
		Statement *wire.Statement
		OS        string
		Version   string
		From      netip.Addr // of the caller's channel
	}

	// Join makes a key a node of the person whom Session names, who proved it at that
	// machine, and signs them in there; its node is the joining one. The caller has
	// verified the identity, and that the person meant this machine. A key that is a
	// node is refused (ErrKnownKey), unless this person's sign-in made it one: then it
	// gives the node as it is, and begins no session.
	Join struct {
		Machine
		Session  BeginSession
		Approved bool // false: it waits for an admin
	}

	// Report is what a node says of itself; the whole is said each time. An older
	// statement than the known one is refused (ErrStale).
	Report struct {
		Node       string
		Statement  *wire.Statement
		Advertised []netip.Prefix
		OS         string
		Version    string
	}

	// CreateToken makes a token for a secret that the caller drew. Who comes with
	// an admin token gives on no scope that this one lacks, and for no longer than
	// it has itself (ErrToken).
	CreateToken struct {
		ID            string // unique; 1 to 64 letters, digits, '-'
		Secret        SecretHash
		Kind          TokenKind
		Lifetime      time.Duration // 0: an hour; at most MaxTokenLifetime
		User          string        // enrol: this or Tags
		Tags          []string
		Uses          uint32 // enrol; 0: one
		NeedsApproval bool
		Scopes        []string // admin: at least one, or
		Role          string   // a role, and what that allows
	}

	// RevokeToken ends a token. Nodes that it admitted stay. Nobody ends an admin
	// token that can do more than they (ErrForbidden).
	RevokeToken struct{ ID string }

	// ApproveNode lets a node that waits have peers. Node is an id or a name, here
	// and below. A fingerprint that is given must be the node's (ErrInvalid).
	ApproveNode struct{ Node, Fingerprint string }

	// HoldNode has a node that is in wait for approval again, whoever's it is, and ends the
	// sessions there: it has no peers, and keeps its name, addresses and key.
	HoldNode struct{ Node string }

	// RejectNode turns a node that waits away for good, as RemoveNode does. One that
	// was approved is refused (ErrInvalid).
	RejectNode struct{ Node string }

	// ExpireNode ends the time of a person's machine now: it is a peer of nobody until
	// its person has proved anew who they are, there.
	ExpireNode struct{ Node string }

	// RenewNode gives a person's machine another span of time; 0: it has no end.
	RenewNode struct {
		Node string
		Life time.Duration // at most MaxDeviceLife
	}

	// KeepDevices gives people's machines that have no end one (not with a Life of 0),
	// and takes those out whose end has come. It changes a few hundred at a time.
	KeepDevices struct{ Life time.Duration }

	// RemoveNode takes a node away for good: its key is revoked and the epoch rises.
	RemoveNode struct{ Node string }

	// TagNode gives a node exactly these tags. Without any, it belongs to the
	// person who enrolled it; a node that nobody owns keeps at least one.
	TagNode struct {
		Node string
		Tags []string
	}

	// ApproveRoute lets a node carry a prefix that it advertises and that no other
	// node carries (ErrExists), or ends that. What the policy approves can only be
	// withdrawn in the policy (ErrInvalid).
	ApproveRoute struct {
		Node     string
		Prefix   netip.Prefix
		Withdraw bool
	}

	// SetPolicy puts a policy in force. Expected is the revision of the policy that
	// the author started from (ErrStale if another is in force); 0: whatever is.
	//
	// With ConfirmWithin the policy before comes back after that time, unless
	// ConfirmPolicy comes first; until one of the two happens no other policy is
	// taken (ErrUnconfirmed), so that nobody builds on what may go.
	SetPolicy struct {
		Text          string
		File          string
		Expected      uint64
		ConfirmWithin time.Duration // 0: it stays; at most MaxConfirmWithin
	}

	// Observe tells what is seen outside of the mesh: who is on duty, and that a new
	// day has begun. What is as it was changes nothing.
	Observe struct {
		Duty map[string]map[string]time.Time // roster, login, until when
	}

	// BeginSession signs a person in at a node, for Life from now. Who proves anew who
	// they are where they are signed in goes on with that session. A node that has an
	// owner takes nobody else (ErrUser); at a tagged one the last who came sits there,
	// or at each of its seats.
	// The caller has verified the identity, and that the person meant this node.
	BeginSession struct {
		ID   string // for a new session; 1 to 64 letters, digits, '-'
		Node string // id
		Who  Identity
		Life time.Duration // at most MaxSessionLife
		Seat string        // account at a machine of several people; empty: the whole machine

		// DeviceLife is how long the proof keeps the machine in the mesh, if it is a
		// person's; 0: for good, and what ends it has stays. The session ends no later.
		DeviceLife time.Duration
	}

	// NoteActive tells what people did where they are signed in. It prolongs no session.
	NoteActive struct{ Of map[Sitting]Activity }

	// EndSessions ends a session, or all at a node, or that one if it is there.
	EndSessions struct{ ID, Node string }

	// DisableUser shuts a person out, known by id or login, also before they ever
	// came: their sessions end, their tokens are revoked, their machines have no peers.
	// Nobody does this to who may more at the admin API (ErrForbidden), and it does
	// not befall the last owner, as RevokeRole says.
	// Roles that they granted stay, and are in Result.Granted; WithGrants takes them
	// too, as RevokeRole says, and fails as a whole if the actor may not.
	DisableUser struct {
		User       string
		LastOwner  bool
		WithGrants bool
	}

	// EnableUser takes that back. Sessions and tokens stay ended.
	EnableUser struct{ User string }

	// ForgetUser drops all that is known of a person: whoever the issuers next call by
	// one of the logins is that person. It is for an issuer that was replaced. Roles
	// go with the person, under the conditions of DisableUser.
	ForgetUser struct {
		User      string
		LastOwner bool
	}

	// RequireSignIn says whether what people may, they may only while signed in.
	RequireSignIn struct {
		Required bool
		Default  bool // it counts only if nobody has said so or so before
	}

	// ConfirmPolicy lets a policy that awaits confirmation stay. Revision is its
	// own; 0: that of whichever is in force. It fails with ErrStale when it is too
	// late, and with ErrInvalid if nothing awaits confirmation.
	ConfirmPolicy struct{ Revision uint64 }

	// RollBackPolicy puts the policy before back at once, instead of one that
	// awaits confirmation (ErrInvalid if none does).
	RollBackPolicy struct{}

	// TakeRevocations takes over revocations that nodes kept and this state lacks.
	// The caller has verified their signatures.
	TakeRevocations struct{ Revocations []Revocation }

	// BeginIncarnation follows a restore: maps of the restored state supersede
	// those that the lost one signed.
	BeginIncarnation struct{ Reason string }

	// Note changes nothing and writes one audit record: a backup was taken, an
	// operator was refused.
	Note struct{ Action, Object, Detail string }
)

// Result is what came of a command. Fields are set where they make sense.
type Result struct {
	Revision  uint64 // at which the answer holds
	Changed   bool   // false: everything was so already
	Node      *Node
	Token     *Token
	Policy    *PolicyVersion
	Session   *Session
	User      *User
	Group     *Group
	Ended     int      // sessions that were ended
	Revoked   int      // tokens that went with a role
	Taken     int      // revocations that were new
	Granted   []Grant  // roles that somebody granted who could grant them no more, and that stand
	Withdrawn []Grant  // such roles that were taken
	Made      []Made   // what somebody made who lost the right to: what ended, and what stands
	Warnings  []string // what an operator should look at
	Problems  []policy.Warning
}
