// Package registry is the mesh as the coordinator knows it: nodes, tokens,
// revocations, the policy and its history. It decides every change, and it is
// the only one that does.
//
// A [Command] and a [State] give a [Decision]: the events that would happen, the
// audit records that tell of them, and the state afterwards. [Decider.Decide] and
// [Apply] are pure. A [Registry] is their single writer: one goroutine decides,
// hands events and records to a [Journal] in one transaction, and only then shows
// the new state and answers the caller.
//
// Its promises:
//
//   - What Do acknowledged is durable, and it is in the journal together with its
//     audit record. What was refused or could not be written changed nothing.
//   - A State is never changed. Readers hold it as long as they like and slow nobody.
//   - Every event has one revision; revisions have no gaps. A command that changes
//     nothing has no event, and so nobody hears of it. The state that a journal
//     gives when it is read back equals the one that wrote it.
//   - Two registries over one journal never lose each other's changes: who comes
//     second learns the first one's change and decides again.
//   - A node key that was removed never comes back: its revocation stays, and the
//     revocation epoch never goes down. Addresses are never given twice.
//   - No secret gets here. Tokens are known by the hash of their secret.
//
// What it leaves to others: who may send which command (the edges know their
// caller), what a policy means for a node (acl/compile), how bytes get to disk
// (store), and everything that changes by the minute: endpoints, who is online.
package registry
