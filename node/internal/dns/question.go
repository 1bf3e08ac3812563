package dns

import (
	miekg "github.com/miekg/dns"
)

const (
	headerSize = 12
	// maxQuery is more than a question with a name of 255 bytes and a few EDNS0
	// options needs.
	maxQuery = 4096
	// plain and extended are the sizes of an answer over UDP: without EDNS0
	// (RFC 1035), and the most that surely fits one packet (RFC 9715).
	plain, extended = 512, 1232
	// maxAnswer is what TCP's frame holds.
	maxAnswer = 1<<16 - 1
)

// question is what we answer: one name, one type, of the Internet.
type question struct {
	msg     *miekg.Msg // as it came
	name    string     // lower case, with a final dot
	qtype   uint16
	edns    bool
	secured bool // the asker wants DNSSEC's records too
	size    int  // of the largest answer
}

// refusal is why a packet is not answered as asked. The zero refusal is none.
type refusal struct {
	silent bool
	rcode  int
}

// read reads a packet. What is refused has cost a look at its header, or one
// parse of at most maxQuery bytes.
func read(packet []byte, tcp bool) (q question, no refusal) {
	if len(packet) < headerSize || packet[2]&0x80 != 0 {
		// An answer to an answer would go back and forth for ever.
		return q, refusal{silent: true}
	}
	if packet[2]>>3&0xf != miekg.OpcodeQuery {
		return q, refusal{rcode: miekg.RcodeNotImplemented}
	}
	count := func(at int) int { return int(packet[at])<<8 | int(packet[at+1]) }
	if len(packet) > maxQuery || count(4) != 1 || count(6) != 0 || count(8) != 0 || count(10) > 1 {
		return q, refusal{rcode: miekg.RcodeFormatError}
	}
	q.msg = new(miekg.Msg)
	if q.msg.Unpack(packet) != nil || len(q.msg.Question) != 1 {
		return q, refusal{rcode: miekg.RcodeFormatError}
	}
	asked := q.msg.Question[0]
	q.name, q.qtype, q.size = miekg.CanonicalName(asked.Name), asked.Qtype, plain
	if !q.readEDNS() {
		return q, refusal{rcode: miekg.RcodeFormatError}
	}
	if tcp {
		q.size = maxAnswer
	}
	if asked.Qclass != miekg.ClassINET || !answerable(asked.Qtype) {
		return q, refusal{rcode: miekg.RcodeRefused}
	}
	return q, refusal{}
}

// readEDNS takes the one additional record that a question may have.
func (q *question) readEDNS() bool {
	for _, extra := range q.msg.Extra {
		opt, ok := extra.(*miekg.OPT)
		if !ok || opt.Hdr.Name != "." {
			return false
		}
		q.edns, q.secured = true, opt.Do()
		q.size = min(max(int(opt.UDPSize()), plain), extended)
	}
	return true
}

// version tells of a question in an EDNS that nobody knows yet (RFC 6891
// section 6.1.3).
func (q *question) version() bool {
	opt := q.msg.IsEdns0()
	return opt != nil && opt.Version() != 0
}

// answerable leaves out what asks for a whole zone, or is no type of a record:
// zone transfers, mail agents of old, keys between servers.
func answerable(qtype uint16) bool {
	switch qtype {
	case miekg.TypeNone, miekg.TypeOPT:
		return false
	case miekg.TypeANY:
		return true
	}
	return qtype < 128 || qtype > 255
}

// bare answers what could not be read, or is not to be: a header alone, smaller
// than any question.
func bare(packet []byte, rcode int) []byte {
	reply := make([]byte, headerSize)
	copy(reply, packet[:2])
	reply[2] = 0x80 | packet[2]&0x79 // an answer, with the operation and the wish to recurse as asked
	reply[3] = byte(rcode)
	return reply
}

// reply begins an answer.
func (q *question) reply(rcode int) *miekg.Msg {
	if !q.edns && rcode > 0xf {
		rcode = miekg.RcodeServerFailure // its name takes EDNS0
	}
	m := new(miekg.Msg).SetRcode(q.msg, rcode)
	m.RecursionAvailable = true
	if q.edns {
		m.SetEdns0(extended, q.secured)
	}
	return m
}

// pack gives the bytes of an answer, cut to the size that the asker takes.
func (q *question) pack(m *miekg.Msg) []byte {
	m.Truncate(q.size)
	m.Compress = true
	b, err := m.Pack()
	if err != nil || len(b) > q.size {
		// Records of a resolver that read but do not write.
		b, err = q.reply(miekg.RcodeServerFailure).Pack()
	}
	if err != nil {
		return nil
	}
	return b
}
