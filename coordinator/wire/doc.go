// Package wire is the contract between a coordinator and its nodes: the
// messages (wire.proto), the typed form that both sides work with, and every
// rule about what a node accepts. docs/PROTOCOL.md tells it at length.
//
// A coordinator turns what one node may know into a [Map], sends it once as a
// Full and from then on as Deltas. Each travels in an [Envelope] whose bytes
// are signed as they are, never as a re-encoding: [SignBatch] signs many
// envelopes with one signature, [Open] verifies one against the [Trust] in map
// keys that the mesh root certified, and [State.Fold] decides whether the node
// takes it. The steps have types of their own, so that what was not verified
// cannot be folded, and what was not validated is not a Map.
//
// What each signature covers:
//
//   - the mesh root: a map key and the time in which it may sign ([SignMapKey]);
//   - a map key: the root of a Merkle tree whose leaves are envelopes;
//   - a map key, too: which node may use relays, and until when
//     ([SignRelayTicket]);
//   - a node key: the tunnel key and path key that the node uses now
//     ([SignStatement]). A coordinator can withhold a peer, but it cannot put
//     its own tunnel key into a peer's place.
//
// What the package promises:
//
//   - Apply(a, Diff(a, b)) equals b. Apply never changes the map it is given,
//     and a message with one wrong field is refused whole: the old map stays.
//   - Nothing moves back: (incarnation, epoch, revision) only grows, and a
//     revoked node key is not accepted again, whoever offers it.
//   - A prefix has one owner. A map that gives one prefix to two is refused.
//   - Foreign bytes are bounded in size and in expansion before they are
//     decoded, and a signature is checked before the payload is looked at.
//   - No secret is in an error or in what fmt and slog print.
//
// It does no I/O, keeps no clock and starts no goroutine: `now` is an argument,
// and disks, sockets and retries belong to its callers.
package wire
