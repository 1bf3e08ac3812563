package wire

import (
	"errors"
	"fmt"
)

// What a caller branches on. Whatever the error, the message is refused whole
// and the node keeps the map that it has.
var (
	// ErrMalformed: the bytes break a rule of the format. Ask for a Full.
	ErrMalformed = errors.New("malformed message")
	// ErrTwoOwners: one prefix, address or tunnel key belongs to two records.
	ErrTwoOwners = errors.New("two owners")
	// ErrMapKey: signed by a key that the mesh root did not certify, or not for now.
	ErrMapKey = errors.New("map key is not trusted")
	// ErrProof: signature and payload do not belong together.
	ErrProof = errors.New("not covered by its signature")
	// ErrNotForUs: verified, but for another mesh or another node.
	ErrNotForUs = errors.New("message for another recipient")
	// ErrOlder: verified, but of a past that the node has left. Drop it.
	ErrOlder = errors.New("older than what is held")
	// ErrGap: a Delta or Lease that does not start where the node stands. Ask for a Full.
	ErrGap = errors.New("does not follow what is held")
	// ErrRevoked: the message names a peer whose key was revoked. Surrender the
	// revocations to the coordinator, then ask for a Full.
	ErrRevoked = errors.New("peer was revoked")
	// ErrLog: a stored map that cannot be used. Delete it; the node then has no
	// map, which denies, until a coordinator gives it one.
	ErrLog = errors.New("stored map is not usable")
	// ErrLevel: the two sides share no protocol level. Upgrade the older one.
	ErrLevel = errors.New("no common protocol level")
	// ErrEnrolment: not an enrolment string. The input is never repeated.
	ErrEnrolment = errors.New("not an enrolment string")
	// ErrTicket: a relay ticket that is genuine, but not for now. Get another.
	ErrTicket = errors.New("relay ticket is not valid now")
	// ErrCoordinator: the server is not a coordinator of the pinned mesh.
	ErrCoordinator = errors.New("not a coordinator of this mesh")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
