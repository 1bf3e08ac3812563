package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	miekg "github.com/miekg/dns"
	"golang.org/x/sync/singleflight"
)

const (
	tryWithin = 2 * time.Second // one server, one protocol
	askWithin = 5 * time.Second // all of them: programs give up then
	maxAsked  = 256             // who waits for answers at one time
	maxWrong  = 64              // packets that are no answer to the question, on one socket
)

// asker puts questions to other resolvers.
type asker struct {
	slots   chan struct{}
	flights singleflight.Group
}

func newAsker() *asker { return &asker{slots: make(chan struct{}, maxAsked)} }

// exchange gives the servers' answer, or nil: nobody answered in time, or too
// many questions are on their way. Who asks what is being asked already waits
// for that answer; so a loop over other resolvers ends with the time that a
// question has, instead of with the machine's memory.
func (a *asker) exchange(ctx context.Context, q *question, servers []netip.AddrPort) *miekg.Msg {
	if len(servers) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	default:
		return nil
	}
	key := fmt.Sprintf("%s %d %t %t %v", q.name, q.qtype, q.secured, q.msg.CheckingDisabled, servers)
	// The first asker's context is as good as ours: both end with the server.
	v, _, _ := a.flights.Do(key, func() (any, error) { return a.all(ctx, q, servers), nil })
	if found := v.(*miekg.Msg); found != nil {
		return found.Copy() // others may have asked too
	}
	return nil
}

// all asks one server after the other, and each a second time if there is time.
func (a *asker) all(ctx context.Context, q *question, servers []netip.AddrPort) (poor *miekg.Msg) {
	for _, server := range slices.Concat(servers, servers) {
		found, err := one(ctx, q, server)
		switch {
		case ctx.Err() != nil:
			return poor
		case err != nil:
		case found.Rcode == miekg.RcodeSuccess || found.Rcode == miekg.RcodeNameError:
			return found
		case poor == nil:
			poor = found
		}
	}
	return poor
}

// one asks a server by UDP, and by TCP if the answer does not fit.
func one(ctx context.Context, q *question, server netip.AddrPort) (*miekg.Msg, error) {
	found, err := over(ctx, "udp", q, server)
	if err != nil || !found.Truncated {
		return found, err
	}
	if all, err := over(ctx, "tcp", q, server); err == nil {
		return all, nil
	}
	return found, nil
}

// over asks from a socket of its own, whose port the kernel draws, under a random
// number: who cannot see the question has to guess both.
func over(ctx context.Context, network string, q *question, server netip.AddrPort) (*miekg.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, tryWithin)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	co := &miekg.Conn{Conn: conn, UDPSize: extended}
	out := again(q)
	if err := co.WriteMsg(out); err != nil {
		return nil, err
	}
	for range maxWrong {
		in, err := co.ReadMsg()
		var broken net.Error
		switch {
		case err == nil && answers(in, out):
			return in, nil
		case network == "tcp" || errors.As(err, &broken):
			return nil, errors.Join(err, ctx.Err(), errWrong)
		}
	}
	return nil, errWrong
}

var errWrong = errors.New("no answer to the question")

// again asks the same anew: none of the asker's options go further.
func again(q *question) *miekg.Msg {
	out := new(miekg.Msg).SetQuestion(q.name, q.qtype)
	out.CheckingDisabled = q.msg.CheckingDisabled
	return out.SetEdns0(extended, q.secured)
}

func answers(in, out *miekg.Msg) bool {
	return in.Response && in.Id == out.Id && in.Opcode == miekg.OpcodeQuery && len(in.Question) == 1 &&
		strings.EqualFold(in.Question[0].Name, out.Question[0].Name) &&
		in.Question[0].Qtype == out.Question[0].Qtype && in.Question[0].Qclass == out.Question[0].Qclass
}
