package wire

import (
	"cmp"
	"errors"
	"math"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxRelays is how many relays one message may name.
	MaxRelays = 64
	// RelayPath is where a relay answers unless its URL names another path.
	RelayPath = "/relay"

	maxRelayURL = 512
)

// RelayPin says whose key a relay must show: the SHA-256 of its public key
// (SubjectPublicKeyInfo), or the fingerprint of the mesh root for a relay inside
// a coordinator, which is verified by [CoordinatorTLS]. Zero: the web's
// authorities vouch for its name.
type RelayPin [32]byte

// RelayRecord is a relay as nodes are told of it.
type RelayRecord struct {
	Name string // a host name label
	URL  string // https://HOST[:PORT][/PATH]
	Pin  RelayPin
	STUN uint16 // UDP port of URL's host where STUN is answered (RFC 8489); 0: none
}

// Validate checks every field. It fails with [ErrMalformed].
func (r RelayRecord) Validate() error {
	if err := CheckRelayName(r.Name); err != nil {
		return err
	}
	if err := checkRelayURL(r.URL); err != nil {
		return malformed("relay %s: %v", r.Name, err)
	}
	return nil
}

// Proto gives r's wire form.
func (r RelayRecord) Proto() *Relay {
	m := &Relay{Name: r.Name, Url: r.URL, Stun: uint32(r.STUN)}
	if r.Pin != (RelayPin{}) {
		m.Pin = r.Pin[:]
	}
	return m
}

// RelayOffer is what a coordinator says of relays to one node: all that there
// are, by ascending name, and the node's ticket for them.
type RelayOffer struct {
	Relays []RelayRecord
	Ticket []byte    // for a relay, which opens it; empty if there are no relays
	End    time.Time // of Ticket, exclusive; zero without one
}

// Proto gives o's wire form.
func (o RelayOffer) Proto() *Relays {
	m := &Relays{Ticket: o.Ticket}
	for _, r := range o.Relays {
		m.Relays = append(m.Relays, r.Proto())
	}
	if !o.End.IsZero() {
		m.TicketEnd = o.End.Unix()
	}
	return m
}

// ParseRelays gives the typed form of m. The ticket stays unopened: that is for
// relays. It fails with [ErrMalformed].
func ParseRelays(m *Relays) (RelayOffer, error) {
	var d decoder
	d.check(len(m.GetRelays()) <= MaxRelays, "%d relays, at most %d", len(m.GetRelays()), MaxRelays)
	byName := func(a, b RelayRecord) int { return cmp.Compare(a.Name, b.Name) }
	o := RelayOffer{Relays: decodeList(&d, "relays", m.GetRelays(), byName, parseRelay), Ticket: m.GetTicket()}
	end, err := moment(m.GetTicketEnd())
	d.check(err == nil, "ticket that ends in second %d", m.GetTicketEnd())
	d.check(len(o.Ticket) <= MaxTicket, "ticket of %d bytes, at most %d", len(o.Ticket), MaxTicket)
	d.check((len(o.Ticket) == 0) == end.IsZero(), "a ticket without an end, or an end without a ticket")
	if err := d.of("relays"); err != nil {
		return RelayOffer{}, err
	}
	o.End = end
	return o, nil
}

func parseRelay(m *Relay) (RelayRecord, error) {
	r := RelayRecord{Name: m.GetName(), URL: m.GetUrl()}
	if n := len(m.GetPin()); n != 0 && n != len(r.Pin) {
		return r, malformed("pin of %d bytes, want %d or none", n, len(r.Pin))
	}
	if m.GetStun() > math.MaxUint16 {
		return r, malformed("STUN at port %d", m.GetStun())
	}
	r.STUN = uint16(m.GetStun())
	copy(r.Pin[:], m.GetPin())
	if len(m.GetPin()) != 0 && r.Pin == (RelayPin{}) {
		return r, malformed("a pin that is all zero")
	}
	return r, r.Validate()
}

// CheckRelayName permits a host name label. It fails with [ErrMalformed].
func CheckRelayName(name string) error {
	if !isLabel(name) {
		return malformed("relay name %q is not a host name label (RFC 1123, lower case)", clip(name))
	}
	return nil
}

// checkRelayURL permits https, a host in lower case, a port and a path, each
// spelt in one way only.
func checkRelayURL(address string) error {
	if len(address) > maxRelayURL {
		return errors.New("the URL is too long")
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || "https://"+u.Host+u.EscapedPath() != address {
		return errors.New("the URL must be https://host:port/path and nothing more")
	}
	if strings.ContainsFunc(u.Path, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New("the URL's path must be printable ASCII without blanks")
	}
	if a, err := netip.ParseAddr(u.Hostname()); (err != nil || a.Zone() != "") && !isDomain(u.Hostname()) {
		return errors.New("the URL's host must be a name or an address, in lower case")
	}
	if p := u.Port(); p != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != p {
			return errors.New("the URL's port must be 1 to 65535")
		}
	}
	return nil
}
