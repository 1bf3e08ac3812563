package server

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
)

// A stranger has this long from its connection to its proof.
const admitWithin = 10 * time.Second

// errFull: the mesh has as many connections as it may. Among the reasons of the
// relay itself, it and errDenied are told to the client in so many words.
var (
	errFull   = errors.New("this relay is full")
	errDenied = errors.New("this relay was told not to serve this node")
)

// admit asks who is there, and makes it a client.
func (s *Server) admit(conn net.Conn, greeting []byte, binding relay.Binding) (*client, error) {
	if err := conn.SetDeadline(time.Now().Add(admitWithin)); err != nil {
		return nil, err
	}
	challenge := relay.NewChallenge()
	if _, err := conn.Write(challenge.Append(greeting)); err != nil {
		return nil, err
	}
	kind, body, err := relay.ReadFrame(conn, make([]byte, relay.MaxHello))
	if err != nil {
		return nil, err
	}
	if kind != relay.TypeHello {
		return nil, fmt.Errorf("%w: type %#x, want a Hello", relay.ErrFrame, byte(kind))
	}
	hello, err := relay.ParseHello(body)
	if err != nil {
		return nil, err
	}
	permit, err := s.permit(hello.Ticket, hello.Node)
	if err != nil {
		return nil, err
	}
	if err := hello.Verify(challenge, binding); err != nil {
		return nil, err
	}
	c := newClient(s, conn, permit, hello.Instance)
	if err := s.join(c); err != nil {
		return nil, err
	}
	// Once more, now that Drop finds it: who was removed since it was asked for
	// would else stay until its ticket's end.
	if s.cfg.Admit != nil && s.cfg.Admit(permit) != nil {
		c.end(relay.Denied, errDenied.Error())
	}
	return c, nil
}

// permit opens the ticket that node shows.
func (s *Server) permit(ticket []byte, node key.NodePublic) (wire.RelayPermit, error) {
	p, err := wire.OpenRelayTicket(ticket, s.cfg.Roots, s.cfg.Now())
	if err != nil {
		return p, &relay.RefusedError{Code: relay.BadTicket, Text: err.Error()}
	}
	if p.Node != node {
		return p, &relay.RefusedError{Code: relay.BadTicket, Text: "the ticket is another node's"}
	}
	if s.cfg.Admit != nil {
		if err := s.cfg.Admit(p); err != nil {
			return p, fmt.Errorf("%w: %w", errDenied, err)
		}
	}
	return p, nil
}

// refuse tells a stranger why, as far as it is its business, and closes.
func (s *Server) refuse(conn net.Conn, err error) {
	s.counts.refused.Add(1)
	s.cfg.Log.Debug("relay: connection refused", "reason", err)
	code, text := reasonOf(err)
	if code == 0 {
		return // the connection broke: nobody is there to tell
	}
	frame := relay.AppendText(nil, relay.TypeRefused, byte(code), text)
	if _, err := conn.Write(frame); err != nil {
		return
	}
	if half, ok := conn.(halfCloser); ok && half.CloseWrite() == nil {
		discard(conn)
	}
}

func reasonOf(err error) (relay.Code, string) {
	var refused *relay.RefusedError
	switch {
	case errors.As(err, &refused):
		return refused.Code, refused.Text
	case errors.Is(err, relay.ErrTLSBroken):
		return relay.BrokenTLS, "something between this node and the relay decrypts TLS: except the relay's name from TLS inspection"
	case errors.Is(err, relay.ErrProof):
		return relay.BadProof, "the node key was not proven"
	case errors.Is(err, errFull):
		return relay.Later, errFull.Error()
	case errors.Is(err, errDenied):
		return relay.Denied, errDenied.Error()
	case errors.Is(err, relay.ErrFrame):
		return relay.Malformed, "this is not the protocol of a node"
	}
	return 0, ""
}

// halfCloser is a connection that can say that it will say no more, as TLS and
// TCP can.
type halfCloser interface{ CloseWrite() error }

// discard reads what the other side still sends, for a moment: to close on unread
// bytes would reset the connection, and the reason be lost on its way.
func discard(conn net.Conn) {
	if conn.SetReadDeadline(time.Now().Add(time.Second)) != nil {
		return
	}
	var waste [512]byte
	for range 64 {
		if _, err := conn.Read(waste[:]); err != nil {
			return
		}
	}
}
