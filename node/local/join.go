package local

import "context"

// JoinRequest asks to join a mesh by a person's sign-in, instead of an enrolment
// string: whoever proves in a browser who they are will own this machine there.
type JoinRequest struct {
	URL string `json:"url"` // of the coordinator: https://host or https://host:port

	// Fingerprint is that of the mesh root, 64 hexadecimal digits. Empty: the
	// coordinator is believed that the web's authorities know by the URL's host.
	Fingerprint string `json:"fingerprint,omitempty"`

	// Name is the wished host name; empty: the machine's.
	Name string `json:"name,omitempty"`
}

// JoinResponse tells how to go on.
type JoinResponse struct {
	// Login is a sign-in under way. Nil: this machine had joined before.
	Login *Login `json:"login,omitempty"`
	Node  string `json:"node"` // fingerprint of this machine's key, which the page shows too
}

// Join opens a sign-in by which this machine joins. The daemon goes on by itself
// when somebody has signed in.
func (c *Client) Join(ctx context.Context, r JoinRequest) (*JoinResponse, error) {
	return call[JoinResponse](ctx, c, PathJoin, r)
}

// AwaitJoin returns when the sign-in has ended by which this machine joins, which
// takes as long as the person does. Done means that it is a node of the mesh now.
func (c *Client) AwaitJoin(ctx context.Context, r AwaitLoginRequest) (*LoginOutcome, error) {
	return call[LoginOutcome](ctx, c, PathAwaitJoin, r)
}
