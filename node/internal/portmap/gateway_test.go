package portmap_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// router plays a gateway. Its layouts are written from the RFCs, apart from the
// code that it judges.
type router struct {
	external netip.Addr
	life     time.Duration // what it grants at most
	// hostile changes or adds to what it answers to a datagram at port 5351.
	hostile func(request, answer []byte) [][]byte
	// late is how long an answer is on its way, in a made-up network.
	late func(request []byte) time.Duration
	// ambush sees each datagram of real sockets before it is answered.
	ambush func(from netip.AddrPort, request []byte)

	mu               sync.Mutex
	pcp, natpmp, igd bool // what it speaks
	mute             bool // says nothing at all
	result           byte // refuses to map with this; 0: maps
	born             time.Time
	taken            []uint16 // external ports that others have
	conflict         int      // what UPnP says of these; 0: 718
	maps             map[netip.AddrPort]entry
	said             []string // requests, the oldest first
	web              web
}

// entry is a mapping of a router, by internal address and port.
type entry struct {
	external uint16
	nonce    [12]byte
	until    time.Time // zero: never
}

func newRouter(speaks ...string) *router {
	r := &router{
		external: netip.MustParseAddr("203.0.113.7"), life: time.Hour, born: time.Now().Add(-time.Hour), maps: map[netip.AddrPort]entry{},
		pcp: slices.Contains(speaks, "PCP"), natpmp: slices.Contains(speaks, "NAT-PMP"), igd: slices.Contains(speaks, "UPnP"),
	}
	return r
}

func (r *router) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// restart forgets all, as a power cut does.
func (r *router) restart() {
	r.set(func() { r.born = time.Now(); clear(r.maps) })
}

// requests gives what was asked since the last call.
func (r *router) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.said
	r.said = nil
	return out
}

// mapped gives the external port of a mapping that lives; 0: there is none.
func (r *router) mapped(internal netip.AddrPort) uint16 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.maps[internal]; ok && (e.until.IsZero() || time.Now().Before(e.until)) {
		return e.external
	}
	return 0
}

func (r *router) say(format string, a ...any) { r.said = append(r.said, fmt.Sprintf(format, a...)) }

// grant maps, as near to what is wanted as it can. It holds mu.
func (r *router) grant(internal netip.AddrPort, want uint16, life time.Duration, id [12]byte) (uint16, time.Duration) {
	if old, ok := r.maps[internal]; ok && time.Now().Before(old.until) {
		want = old.external
	}
	for slices.Contains(r.taken, want) {
		want++
	}
	life = min(life, r.life)
	r.maps[internal] = entry{want, id, time.Now().Add(life)}
	return want, life
}

// datagram answers what came to port 5351.
func (r *router) datagram(from netip.Addr, b []byte) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	var answer []byte
	switch {
	case r.mute || len(b) < 2:
		r.say("nothing heard")
		return nil
	case b[0] == 2 && r.pcp:
		answer = r.answerPCP(from, b)
	case b[0] == 0 && r.natpmp:
		answer = r.answerNATPMP(from, b)
	case r.pcp: // RFC 6887, section 9
		answer = append([]byte{2, b[1] | 0x80, 0, 1, 0, 0, 0, 0}, binary.BigEndian.AppendUint32(nil, r.epoch())...)
		answer = append(answer, make([]byte, 12)...)
	case r.natpmp: // RFC 6886, section 3.5
		answer = binary.BigEndian.AppendUint32([]byte{0, b[1] | 0x80, 0, 1}, r.epoch())
	default:
		return nil
	}
	if r.hostile != nil {
		return r.hostile(b, answer)
	}
	return [][]byte{answer}
}

func (r *router) epoch() uint32 { return uint32(time.Since(r.born) / time.Second) }

func (r *router) answerPCP(from netip.Addr, b []byte) []byte {
	header := func(result byte, life time.Duration) []byte {
		out := []byte{2, b[1] | 0x80, 0xee, result} // what is reserved is nobody's business
		out = binary.BigEndian.AppendUint32(out, uint32(life/time.Second))
		out = binary.BigEndian.AppendUint32(out, r.epoch())
		return append(out, make([]byte, 12)...)
	}
	client := netip.AddrFrom16([16]byte(b[8:24])).Unmap()
	if b[1] == 0 {
		r.say("PCP announce")
		return header(0, 0)
	}
	life := time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Second
	internal, want := netip.AddrPortFrom(from, binary.BigEndian.Uint16(b[40:])), binary.BigEndian.Uint16(b[42:])
	wantAddr := netip.AddrFrom16([16]byte(b[44:60])).Unmap()
	id := [12]byte(b[24:36])
	old, known := r.maps[internal]
	refuse := func(result byte) []byte { return append(header(result, time.Minute), b[24:60]...) }
	grant := func(port uint16, life time.Duration) []byte {
		out := append(header(0, life), b[24:42]...)
		out = binary.BigEndian.AppendUint16(out, port)
		addr := r.external.As16()
		return append(out, addr[:]...)
	}
	switch {
	case b[36] != 17:
		return refuse(9)
	case client != from:
		return refuse(12)
	case known && time.Now().Before(old.until) && old.nonce != id:
		r.say("PCP map %d with a strange nonce", internal.Port())
		return refuse(2)
	case life == 0:
		r.say("PCP delete %d (%v:%d)", internal.Port(), wantAddr, want)
		delete(r.maps, internal)
		return grant(0, 0)
	}
	r.say("PCP map %d as %v:%d for %v", internal.Port(), wantAddr, want, life)
	if r.result != 0 {
		return refuse(r.result)
	}
	return grant(r.grant(internal, want, life, id))
}

func (r *router) answerNATPMP(from netip.Addr, b []byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte{0, b[1] | 0x80, 0, 0}, r.epoch())
	if b[1] == 0 {
		r.say("NAT-PMP address")
		addr := r.external.As4()
		return append(out, addr[:]...)
	}
	internal, want := netip.AddrPortFrom(from, binary.BigEndian.Uint16(b[4:])), binary.BigEndian.Uint16(b[6:])
	life := time.Duration(binary.BigEndian.Uint32(b[8:])) * time.Second
	out = append(out, b[4:6]...)
	switch {
	case b[1] != 1:
		out[3] = 5
		return out[:8]
	case life == 0:
		r.say("NAT-PMP delete %d (%d)", internal.Port(), want)
		delete(r.maps, internal)
	default:
		r.say("NAT-PMP map %d as %d for %v", internal.Port(), want, life)
		if r.result != 0 {
			out[3] = r.result
			return out[:8]
		}
		want, life = r.grant(internal, want, life, [12]byte{})
	}
	out = binary.BigEndian.AppendUint16(out, want)
	return binary.BigEndian.AppendUint32(out, uint32(life/time.Second))
}
