package dns

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	miekg "github.com/miekg/dns"
)

// Responder answers questions: from the zone, by other resolvers, or with a
// refusal. Its methods may be called at the same time.
type Responder struct {
	routes []Route // the longest domain first
	ask    *asker
	known  atomic.Pointer[knowledge]
}

// knowledge is all that answers come from. It never changes.
type knowledge struct {
	zone *Zone
	// direct are names that only the machine's own resolvers answer: those of the
	// coordinator and the relays. Lower case, with a final dot.
	direct map[string]bool
	// own are the machine's own resolvers, and what no
	// route names goes to them if rest says so.
	own  []netip.AddrPort
	rest bool
	// mine are where we answer ourselves: whoever asks there goes in a circle.
	mine map[netip.AddrPort]bool
}

// circles tells whether a server is ourselves.
func (k *knowledge) circles(server netip.AddrPort) bool {
	return k.mine[netip.AddrPortFrom(server.Addr().Unmap(), server.Port())]
}

// NewResponder makes a responder without a zone, which refuses all names but
// those of routes.
func NewResponder(routes []Route) *Responder {
	r := &Responder{routes: slices.Clone(routes), ask: newAsker()}
	slices.SortFunc(r.routes, func(a, b Route) int { return cmp.Compare(len(b.Domain), len(a.Domain)) })
	r.known.Store(&knowledge{zone: new(Zone)})
	return r
}

// Handle gives the answer to a packet, or nil if it deserves none. It returns
// when ctx is done, or within the time that other resolvers have.
func (r *Responder) Handle(ctx context.Context, packet []byte, tcp bool) []byte {
	answer, later := r.begin(packet, tcp)
	if later != nil {
		answer = later(ctx)
	}
	return answer
}

// begin answers what this machine knows itself; for the rest it gives a function
// that asks, and takes its time.
func (r *Responder) begin(packet []byte, tcp bool) (answer []byte, later func(context.Context) []byte) {
	q, no := read(packet, tcp)
	switch {
	case no.silent:
		return nil, nil
	case no.rcode != 0:
		return bare(packet, no.rcode), nil
	case q.version():
		return q.pack(q.reply(miekg.RcodeBadVers)), nil
	}
	know := r.known.Load()
	if know.direct[q.name] {
		return r.others(&q, know, know.own, know.zone.ranges)
	}
	apex, ours := know.zone.apex(q.name)
	route, routed := r.route(q.name)
	// An admin who routes a domain within the mesh's own wants just that.
	if ours && (!routed || len(route.Domain)+1 <= len(apex)) {
		return q.pack(know.answer(&q, apex)), nil
	}
	if routed {
		return r.others(&q, know, route.Servers, nil)
	}
	if know.rest {
		return r.others(&q, know, know.own, know.zone.ranges)
	}
	return q.pack(q.reply(miekg.RcodeRefused)), nil
}

// others has a question asked elsewhere. No address of guard may come back.
func (r *Responder) others(q *question, know *knowledge, servers []netip.AddrPort, guard []netip.Prefix) ([]byte, func(context.Context) []byte) {
	servers = slices.DeleteFunc(slices.Clone(servers), know.circles)
	return nil, func(ctx context.Context) []byte {
		found := r.ask.exchange(ctx, q, servers)
		if found == nil {
			return q.pack(q.reply(miekg.RcodeServerFailure))
		}
		m := q.reply(found.Rcode)
		m.Truncated, m.AuthenticatedData, m.CheckingDisabled = found.Truncated, found.AuthenticatedData, found.CheckingDisabled
		if !rebinds(found, guard) {
			m.Answer, m.Ns = found.Answer, found.Ns
			m.Extra = append(m.Extra, withoutOPT(found.Extra)...)
		}
		return q.pack(m)
	}
}

// answer gives what the zone says.
func (k *knowledge) answer(q *question, apex string) *miekg.Msg {
	found, exists := k.zone.find(q.name, q.qtype)
	m := q.reply(miekg.RcodeSuccess)
	m.Authoritative = true
	for _, rr := range found {
		rr.Header().Name = q.msg.Question[0].Name // as it was asked, capitals too
	}
	m.Answer = found
	if !exists {
		m.Rcode = miekg.RcodeNameError
	}
	if len(found) == 0 {
		m.Ns = []miekg.RR{k.zone.soa(apex)}
	}
	return m
}

// route gives the route of the longest domain that a name lies in.
func (r *Responder) route(name string) (Route, bool) {
	for _, route := range r.routes {
		if rest, ok := strings.CutSuffix(name, route.Domain+"."); ok && (rest == "" || strings.HasSuffix(rest, ".")) {
			return route, true
		}
	}
	return Route{}, false
}

// rebinds tells an answer by which a name of somebody else's leads into the mesh:
// a web page could have a browser speak to what only this machine may reach.
func rebinds(m *miekg.Msg, guard []netip.Prefix) bool {
	for _, rr := range append(m.Answer[:len(m.Answer):len(m.Answer)], m.Extra...) {
		var a netip.Addr
		switch rr := rr.(type) {
		case *miekg.A:
			a, _ = netip.AddrFromSlice(rr.A)
		case *miekg.AAAA:
			a, _ = netip.AddrFromSlice(rr.AAAA)
		case *miekg.HTTPS:
			if hinted(rr.SVCB, guard) {
				return true
			}
		case *miekg.SVCB:
			if hinted(*rr, guard) {
				return true
			}
		}
		if within(guard, a.Unmap()) {
			return true
		}
	}
	return false
}

// hinted finds addresses that a service's record brings along (RFC 9460).
func hinted(rr miekg.SVCB, guard []netip.Prefix) bool {
	for _, v := range rr.Value {
		var hints []net.IP
		switch v := v.(type) {
		case *miekg.SVCBIPv4Hint:
			hints = v.Hint
		case *miekg.SVCBIPv6Hint:
			hints = v.Hint
		}
		for _, ip := range hints {
			if a, _ := netip.AddrFromSlice(ip); within(guard, a.Unmap()) {
				return true
			}
		}
	}
	return false
}

func within(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if a.IsValid() && p.Contains(a) {
			return true
		}
	}
	return false
}

func withoutOPT(in []miekg.RR) (out []miekg.RR) {
	for _, rr := range in {
		if rr.Header().Rrtype != miekg.TypeOPT {
			out = append(out, rr)
		}
	}
	return out
}
