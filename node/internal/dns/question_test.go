package dns_test

import (
	"bytes"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
)

// hostile are packets that are no plain question, and how each is refused; 0 is
// silence.
func hostile(t testing.TB) map[string]struct {
	packet []byte
	rcode  int
} {
	type refused = struct {
		packet []byte
		rcode  int
	}
	build := func(change func(*miekg.Msg)) []byte {
		q := query("ehr."+domain, miekg.TypeA)
		change(q)
		return packed(t, q)
	}
	plain := build(func(*miekg.Msg) {})
	raw := func(change func([]byte) []byte) []byte { return change(bytes.Clone(plain)) }
	class := func(c uint16) func(*miekg.Msg) { return func(m *miekg.Msg) { m.Question[0].Qclass = c } }
	kind := func(q uint16) func(*miekg.Msg) { return func(m *miekg.Msg) { m.Question[0].Qtype = q } }
	out := map[string]refused{
		"nothing":         {nil, 0},
		"half a header":   {plain[:11], 0},
		"an answer":       {build(func(m *miekg.Msg) { m.Response = true }), 0},
		"a notification":  {build(func(m *miekg.Msg) { m.Opcode = miekg.OpcodeNotify }), miekg.RcodeNotImplemented},
		"an update":       {build(func(m *miekg.Msg) { m.Opcode = miekg.OpcodeUpdate }), miekg.RcodeNotImplemented},
		"a header alone":  {plain[:12], miekg.RcodeFormatError},
		"no question":     {build(func(m *miekg.Msg) { m.Question = nil }), miekg.RcodeFormatError},
		"two questions":   {build(func(m *miekg.Msg) { m.Question = append(m.Question, m.Question[0]) }), miekg.RcodeFormatError},
		"half a question": {plain[:len(plain)-3], miekg.RcodeFormatError},
		"a name that points to itself": {raw(func(b []byte) []byte {
			return append(append(b[:12:12], 0xc0, 12), 0, 1, 0, 1)
		}), miekg.RcodeFormatError},
		"a name without an end": {raw(func(b []byte) []byte { return append(b[:12:12], bytes.Repeat([]byte{1, 'a'}, 200)...) }), miekg.RcodeFormatError},
		"an answer in the question": {build(func(m *miekg.Msg) {
			m.Answer = []miekg.RR{&miekg.TXT{Hdr: miekg.RR_Header{Name: ".", Rrtype: miekg.TypeTXT, Class: 1}, Txt: []string{"x"}}}
		}), miekg.RcodeFormatError},
		"two EDNS0 records":          {build(func(m *miekg.Msg) { m.SetEdns0(1232, false).SetEdns0(1232, false) }), miekg.RcodeFormatError},
		"an additional TXT record":   {build(func(m *miekg.Msg) { m.Extra = []miekg.RR{txt()} }), miekg.RcodeFormatError},
		"an EDNS of the future":      {build(func(m *miekg.Msg) { m.SetEdns0(1232, false).IsEdns0().SetVersion(1) }), miekg.RcodeBadVers},
		"of Chaos":                   {build(class(miekg.ClassCHAOS)), miekg.RcodeRefused},
		"of any class":               {build(class(miekg.ClassANY)), miekg.RcodeRefused},
		"a zone transfer":            {build(kind(miekg.TypeAXFR)), miekg.RcodeRefused},
		"an incremental transfer":    {build(kind(miekg.TypeIXFR)), miekg.RcodeRefused},
		"for a key between servers":  {build(kind(miekg.TypeTKEY)), miekg.RcodeRefused},
		"for EDNS0's own record":     {build(kind(miekg.TypeOPT)), miekg.RcodeRefused},
		"for a type that is none":    {build(kind(0)), miekg.RcodeRefused},
		"more than a question needs": {raw(func(b []byte) []byte { return append(b, make([]byte, 4096)...) }), miekg.RcodeFormatError},
	}
	return out
}

func txt() miekg.RR {
	return &miekg.TXT{Hdr: miekg.RR_Header{Name: ".", Rrtype: miekg.TypeTXT, Class: 1}, Txt: []string{"x"}}
}

// What is no plain question is refused, by an answer no longer than it.
func TestRefusesWhatIsNoQuestion(t *testing.T) {
	r := responder()
	for what, tt := range hostile(t) {
		for _, tcp := range []bool{false, true} {
			b := r.Handle(t.Context(), tt.packet, tcp)
			if tt.rcode == 0 {
				if b != nil {
					t.Errorf("%s is answered by %x", what, b)
				}
				continue
			}
			m := new(miekg.Msg)
			if err := m.Unpack(b); err != nil || !m.Response || len(m.Answer) > 0 || !bytes.Equal(b[:2], tt.packet[:2]) {
				t.Errorf("%s is answered by %v, %v", what, m, err)
				continue
			}
			if m.Rcode != tt.rcode || len(b) > len(tt.packet) {
				t.Errorf("%s: %s in %d bytes to %d, want %s", what, miekg.RcodeToString[m.Rcode], len(b), len(tt.packet), miekg.RcodeToString[tt.rcode])
			}
		}
	}
}

// A label may hold a dot, and is no two labels for that.
func TestDotInALabelIsNoName(t *testing.T) {
	for _, name := range []string{`ehr\.mesh.hospital.example.`, `ehr\.` + domain + ".", `\.` + domain + "."} {
		m := ask(t, responder(), query(name, miekg.TypeA))
		if len(m.Answer) != 0 {
			t.Errorf("%s is answered by %v", name, m.Answer)
		}
	}
	if got := told(ask(t, responder(), query(strings.Repeat("a.", 100)+domain, miekg.TypeA))); got != "NXDOMAIN" {
		t.Error("a name of many labels:", got)
	}
}
