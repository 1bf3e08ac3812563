// Package acl is the vocabulary of compiled policy: what a coordinator's
// compiler produces, what travels to a node, and what a node's filter obeys.
//
// A policy file speaks of people, groups, tags and hosts. None of that reaches
// a node. The compiler cuts the address space into classes, each a set of
// prefixes that the policy cannot tell apart, and writes rules over classes.
// A map tells a node which class each prefix of its peers (and of its own) is
// in; a [RuleSet] tells it which pairs of classes may talk, and how.
//
// The package keeps three promises to its users:
//
//   - The zero value refuses. An empty RuleSet permits nothing, a zero
//     [Verdict] is a denial, and class 0 is in no rule.
//   - A class keeps its number in every revision, on every replica: the number
//     is a hash of what the policy says of the class, not a counter.
//   - It imports nothing of ours, so that every data plane can obey it.
package acl

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Class names a set of prefixes that the policy cannot tell apart. The number
// is the first 64 bits of a SHA-256 over the policy's own words for the set,
// so it is the same in every revision and on every replica. Zero is no class.
type Class uint64

// RuleID is the id that an admin wrote, or else "sha256:" and 16 hexadecimal
// digits of the hash of the rule's canonical text. Nodes know nothing more of
// where a rule stands: file and line are looked up at the coordinator.
type RuleID string

// Fact names something about a peer that holds for a time only, such as a
// login or a posture. A peer's record says until when, a rule says which facts
// it needs, and a flow ends at the earliest end.
type Fact string

// SignedIn is the fact that whoever asks is signed in at their device.
const SignedIn Fact = "signed-in"

// PersonPrefix begins each fact that whoever sits at a device is one of some people.
const PersonPrefix = "person:"

// Presence tells whether a fact is that somebody is there, whatever they have proved.
// Whose time is over keeps it, with that end, as long as anything may drain; of who is
// signed out or shut out it is gone, and with it what drains.
func (f Fact) Presence() bool { return f == SignedIn || strings.HasPrefix(string(f), PersonPrefix) }

// FactEnd is a fact of one peer with the moment at which it ends.
type FactEnd struct {
	Fact  Fact
	Until time.Time // exclusive; the zero time never holds
}

// Owner stands for the person who owns a peer, for rules that permit a person
// to reach only what is their own. Zero is nobody, and equals nobody: a tagged
// node has no owner.
type Owner uint64

// Service is a protocol with an inclusive range of destination ports. For a
// protocol without ports the range is 0 to 65535. A service with any ports
// open between two addresses also lets an echo request pass between them.
type Service struct {
	Protocol Protocol
	First    uint16
	Last     uint16
}

// order is the place of a service among others: by protocol, then by its ports.
func (s Service) order() uint64 {
	return uint64(s.Protocol)<<32 | uint64(s.First)<<16 | uint64(s.Last)
}

// MergeServices sorts services in place, and joins those that overlap or touch.
func MergeServices(open []Service) []Service {
	slices.SortFunc(open, func(a, b Service) int { return cmp.Compare(a.order(), b.order()) })
	joined := open[:0]
	for _, s := range open {
		if n := len(joined) - 1; n >= 0 && joined[n].Protocol == s.Protocol && int(s.First) <= int(joined[n].Last)+1 {
			joined[n].Last = max(joined[n].Last, s.Last)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// WithoutServices gives what is left of services without others, sorted and without
// overlap.
func WithoutServices(open, closed []Service) (left []Service) {
	closed = MergeServices(slices.Clone(closed))
	for _, s := range MergeServices(slices.Clone(open)) {
		rest := true
		for _, c := range closed {
			if c.Protocol != s.Protocol || c.Last < s.First || c.First > s.Last {
				continue
			}
			if c.First > s.First {
				left = append(left, Service{s.Protocol, s.First, c.First - 1})
			}
			if rest = c.Last < s.Last; !rest {
				break
			}
			s.First = c.Last + 1
		}
		if rest {
			left = append(left, s)
		}
	}
	return left
}

// LogLevel says how much of a flow under a rule is recorded.
type LogLevel uint8

// Drops are recorded at every level but LogOff. LogDetail and LogRecord ask for
// more than flows: what a filter cannot give is told in flows.
const (
	LogFlows  LogLevel = iota // start, end, bytes: the default
	LogDrops                  // refused packets only
	LogOff                    // nothing
	LogDetail                 // what an application says of itself besides: AE titles, HL7 types, server names
	LogRecord                 // the session itself
)

// Flows tells whether the starts and ends of flows are recorded.
func (l LogLevel) Flows() bool { return l != LogDrops && l != LogOff }

// A Rule permits flows from a source class to a destination class. All of its
// conditions must hold; a field at its zero value asks for nothing, save Src,
// Dst and Open, which then match nothing.
type Rule struct {
	ID  RuleID
	Src []Class // sorted, without duplicates
	Dst []Class // sorted, without duplicates

	// SameOwner narrows the rule to flows between prefixes of one person.
	SameOwner bool

	Needs []Fact    // facts that the person at the source must have
	Open  []Service // what is opened at the destination

	// NotBefore and NotAfter bound a rule under a schedule, in policy time.
	// The zero time means without bound.
	NotBefore, NotAfter time.Time

	// Hold is how long the rule lives on without a word from the coordinator,
	// counted from the node's last lease. Zero means for ever.
	Hold time.Duration

	// Drain is how long a flow lives on, from then, when a fact that it needs or the
	// rule's time has ended; a new one cannot begin. Zero cuts it off at once, as
	// every other end does: a rule that is gone or forbids, the end of its hold, or that
	// whoever began it is there no more, see [Fact.Presence].
	Drain time.Duration

	// Monitor marks a rule that permits what the policy else refuses, so that an
	// admin sees what would be refused. Wherever it stands, rules without the mark
	// come first. Its flows are recorded as Monitored, whatever Log says.
	Monitor bool

	Log LogLevel

	// Limit bounds what one source moves under the rule, and all others of the same
	// ID. The zero value bounds nothing.
	Limit Limit

	// Features that are needed to judge the rule. A filter that lacks one takes
	// the rule as absent if it permits, and as if it had it if it forbids.
	Features []string
}

// Limit bounds how much one person, or one machine, moves under a rule in each
// window of policy time: so many bytes, as both ways add up, or so many flows. A
// window begins at a whole multiple of its length since 1970 in UTC, so that all
// nodes count in the same.
type Limit struct {
	Bytes, Flows uint64 // one of them; 0: not bounded
	Window       time.Duration
	OnExceed     Exceed
}

// Exceed says what becomes of what exceeds a limit, until its window ends.
type Exceed uint8

// What no build knows is an error wherever a rule is read.
const (
	Alert    Exceed = iota + 1 // it passes, and is told of
	Throttle                   // it passes as slowly as the limit gives: so much in each window
	Cut                        // it is refused: of bytes every flow under the rule, of flows each new one
)

// String gives the word of the policy's language.
func (e Exceed) String() string {
	switch e {
	case Alert:
		return "alert"
	case Throttle:
		return "throttle"
	case Cut:
		return "cut"
	}
	return "unknown"
}

// Valid tells whether the limit can be kept. The zero Limit is none, and valid.
func (l Limit) Valid() bool {
	return l == Limit{} || (l.Bytes == 0) != (l.Flows == 0) && l.Window > 0 && l.OnExceed >= Alert && l.OnExceed <= Cut
}

// RuleSet is what one node enforces: In judges flows towards this node and
// what is behind it, Out flows from them. Rules are in the policy's order; the
// first that matches names the verdict.
//
// A rule that forbids is asked before all others, and one that matches and holds
// refuses the flow whatever permits it. It holds while each fact that it needs
// does, and while nobody knows the time; a feature that the filter lacks is taken as
// given. Of its fields, Drain, Monitor and Hold mean nothing. An echo request, which
// any service of a permitting rule lets pass, is forbidden only by a rule that names
// its protocol; ports mean nothing there, nor for any protocol without them.
// Permitting rules that stand beside such ones ask for [FeatureForbid]: a filter
// that would overlook what is forbidden must permit nothing.
type RuleSet struct {
	In, Out             []Rule
	ForbidIn, ForbidOut []Rule
}

// IsEmpty tells whether the set neither permits nor forbids anything.
func (s *RuleSet) IsEmpty() bool { return len(s.In)+len(s.Out)+len(s.ForbidIn)+len(s.ForbidOut) == 0 }

// The features that rules may ask for.
const (
	FeatureForbid  = "forbid"  // rules that forbid are obeyed
	FeatureThrough = "through" // a session ends at a node between, and begins again there
	FeatureRecord  = "record"  // a session that cannot be recorded is refused
)

// PrefixClass puts a prefix into a class.
type PrefixClass struct {
	Prefix netip.Prefix
	Class  Class
}

// Reason says why a verdict fell as it did. Each is one short code that a help
// desk can look up.
type Reason uint8

// The zero Reason is a denial, as everything undecided is.
const (
	NoRule       Reason = iota // no rule opens this
	Permitted                  // a rule opens this
	Established                // part of a permitted flow, or an answer in one
	UnknownPeer                // a mesh address that no peer in the map owns
	NotOurs                    // neither source nor destination as it must be here: spoofed or misrouted
	Malformed                  // not a packet that can be judged
	FactEnded                  // a rule matches, but a fact that it needs has ended
	OutsideTime                // a rule matches, but not now
	HoldEnded                  // a rule matches, but the coordinator was silent for too long
	NoFragment                 // a later fragment whose first was not permitted
	NoMap                      // no verified map: nothing is permitted
	TableFull                  // this peer holds as many flows as one peer may
	Forbidden                  // a rule forbids this, whatever permits it
	Monitored                  // nothing permits this, but the policy lets it pass for now and takes note
	LimitReached               // a rule matches, but its limit is used up until the window ends
	Throttled                  // a rule permits this, but it comes faster than its used up limit gives, or than can be looked into
	SeatCalled                 // a session's own address, to which nobody opens a flow
	reasonsCount               // keep last
)

var reasonText = [reasonsCount]string{
	NoRule: "no rule allows it", Permitted: "allowed by rule", Established: "part of an allowed flow",
	UnknownPeer: "no rule lets this node see that address, or nobody has it", NotOurs: "address not valid here",
	Malformed: "malformed packet", FactEnded: "a login or fact has ended", OutsideTime: "outside the rule's time",
	HoldEnded: "coordinator silent for longer than the rule holds", NoFragment: "fragment without a permitted first fragment",
	NoMap: "no verified map", TableFull: "too many flows from this peer",
	Forbidden: "forbidden by rule", Monitored: "no rule allows it, but what it leads to is only monitored",
	LimitReached: "the rule's limit is reached", Throttled: "slowed down, as a limit is reached",
	SeatCalled: "the address is one person's at a machine of several, and takes no connections",
}

// String gives the reason in a few words.
func (r Reason) String() string {
	if int(r) < len(reasonText) {
		return reasonText[r]
	}
	return "unknown reason"
}

// Verdict is the answer about one packet. The zero Verdict denies.
type Verdict struct {
	Allow  bool
	Reason Reason
	Rule   RuleID // the deciding rule; empty when no rule matched
}
