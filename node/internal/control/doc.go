// Package control is a node's side of the control channel: it enrols, follows
// the coordinator's stream, verifies and folds what comes, and keeps on disk
// what a reboot without coordinator needs.
//
// The order matters and is the same for every message: verify the signature,
// fold (which refuses what is older, of another mesh or for another node),
// publish, then write to disk. What is published is obeyed at once, so a
// revocation waits for no disk; what is written was verified, and is verified
// again when it is read back.
//
// Losing the coordinator changes nothing but what `cordon status` says. The
// package never touches tunnels, filter or interface; it publishes states, and
// whoever listens acts on them.
package control
