package path

import (
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// Bounds of one peer's memory.
const (
	// MaxCandidates is how many addresses of the map are probed for a peer. A
	// list in a map is foreign input: a longer one must not make us a scanner.
	MaxCandidates = 16
	// maxReflexive is how many addresses are learnt from the peer's requests. A
	// NAT that changes its port at every packet must not fill the memory.
	maxReflexive = 4
	// maxCalled is how many addresses of a peer's call are probed. A node with
	// more addresses than these is reached by one of them, or over a relay.
	maxCalled = probe.MaxAddresses
	// MaxOwn is how many addresses of this node a call names.
	MaxOwn = maxCalled
	// maxFlights is how many unanswered requests are remembered for a candidate:
	// enough that an answer may be late by more than the whole detection of a
	// death takes.
	maxFlights = 8
	// maxSeen is how many request ids of the peer are remembered, so that a
	// replayed or duplicated request is not answered twice.
	maxSeen = 16
)

// The life of a path.
const (
	// activeEvery and quietEvery are the pace of probes on the path while
	// packets flow and while they do not. Many NATs forget a UDP mapping after
	// 30 s (RFC 4787 section 4.3 asks for 2 minutes and is not obeyed).
	activeEvery = time.Second
	quietEvery  = 20 * time.Second
	// maxShorter is how often that pace is doubled when the peer sees us come from
	// another port after a pause: 5 s is the life of the shortest mappings met.
	maxShorter = 2
	// relayedEvery is the pace on a relayed path while the peer's packets come
	// in: no NAT is in between that could forget it.
	relayedEvery = 5 * time.Second
	// quietAfter is how long after the last packet the path counts as quiet.
	// WireGuard answers data by a keepalive within 10 s: both ends of a one-way
	// flow stay active.
	quietAfter = 12 * time.Second
	// sendingFor is how long after the last packet packets count as flowing: they
	// are told of once a second.
	sendingFor = 1200 * time.Millisecond
	// silence is how long nothing may come from the peer on a direct path while
	// we send, before it is asked. Packets of the peer are told of every 200 ms.
	silence = 250 * time.Millisecond
	// interest is how long after the last packet the path is kept at all. It
	// outlives a WireGuard session (Reject-After-Time, 180 s): when the path is
	// let go, there are no session keys left that could still use it.
	interest = 200 * time.Second
	// trust is how long an answer lets a path stand that we do not probe
	// ourselves, because only the peer sends.
	trust = 30 * time.Second
	// freshFor is how recent an answer must be for a request from that address
	// not to make us ask back.
	freshFor = 10 * time.Second
)

// The death of a path.
const (
	// A request counts as missed after twice the round-trip time, but not
	// sooner than minWait: a busy machine answers late.
	minWait = 150 * time.Millisecond
	maxWait = 3 * time.Second
	// suspectAfter misses the other candidates are probed, and whichever answers
	// takes over: 550 ms after the last sign of life while packets flow.
	suspectAfter = 2
	// patientAfter holds where packets of the peer still came in within hearing:
	// with one packet in ten lost each way, two misses in a row come twice a
	// minute, four once in a quarter of an hour.
	patientAfter = 4
	hearing      = 450 * time.Millisecond
	// lostAfter misses the path is given up. With one packet in ten lost each
	// way, six misses in a row on a living path come once in six hours.
	lostAfter = 6
	// recently is how old an answer of another candidate may be for it to take
	// over from a suspect path without being asked again.
	recently = 3 * time.Second
	// provenFor is how long after an answer requests to an address count as
	// welcome.
	provenFor = time.Minute
)

// The way back from a relay, or to any path that failed before.
const (
	// minUpgrade doubles up to maxUpgrade from one attempt to leave the relay to
	// the next, while packets flow.
	minUpgrade = 4 * time.Second
	maxUpgrade = 30 * time.Second
	// minProbation doubles up to maxProbation with each failure of a path that
	// had not held for steadyAfter. With maxUpgrade it makes less than a minute.
	minProbation = 2 * time.Second
	maxProbation = 16 * time.Second
	steadyAfter  = time.Minute
	// probationEvery is the pace of requests meanwhile.
	probationEvery = 500 * time.Millisecond
)

// Calls.
const (
	// callGap is how long after a call of ours the peer's is not answered by one.
	callGap = 3 * time.Second
	// ownFresh is how old our own addresses may be in a call without being
	// looked for anew, and gatherGap how soon that may be asked for again.
	ownFresh  = 20 * time.Second
	gatherGap = 5 * time.Second
)

// The search.
const (
	// A candidate is asked searchTries times, again after searchWait, then after
	// twice that, and so on: 3.75 s in all, as the last one is waited for too.
	searchTries = 4
	searchWait  = 250 * time.Millisecond
	// Without a path it is asked again after eagerWait, then after four times that,
	// and so on, 3.74 s in all: a node that joins asks a moment before its peers
	// hear of it, and they drop what a stranger asks.
	eagerWait = 44 * time.Millisecond
	// minBackoff doubles up to maxBackoff from one search without answer to the
	// next, while somebody keeps wanting to send.
	minBackoff = 500 * time.Millisecond
	maxBackoff = 10 * time.Second
	// freshWant is how long nobody must have wanted to send for the next wish to
	// count as new, and to be searched for at once. It is longer than the
	// interval at which WireGuard repeats an initiation (5 s).
	freshWant = 10 * time.Second
	// reviewEvery is how often the other candidates of a used path are asked
	// once, lest a better one stay unnoticed.
	reviewEvery = 60 * time.Second
	// triggerGap is how soon after a request to an address another may follow
	// because the peer asked from there.
	triggerGap = 50 * time.Millisecond
)
