package stock

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// parser is where it stands in a file.
type parser struct {
	file   string
	limits Limits
	line   int
	peers  []Peer
	seen   map[string]bool // keys of the section at hand
}

// Parse reads the text of a file; its name goes into errors.
func Parse(file string, text []byte, limits Limits) ([]Peer, error) {
	p := &parser{file: file, limits: limits}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: %d bytes: a file of stock peers has at most %d", file, len(text), maxFile)
	}
	for line := range strings.Lines(string(text)) {
		p.line++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if line[0] == '[' {
			if err := p.finish(); err != nil {
				return nil, err
			}
		}
		if err := p.take(line); err != nil {
			return nil, p.at(p.line, err)
		}
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	return p.peers, nil
}

func (p *parser) at(line int, err error) error { return fmt.Errorf("%s:%d: %w", p.file, line, err) }

func (p *parser) take(line string) error {
	if strings.HasPrefix(line, "[") {
		return p.section(line)
	}
	name, value, ok := strings.Cut(line, "=")
	if !ok {
		return errors.New("want [Peer], or KEY = VALUE")
	}
	if len(p.peers) == 0 {
		return errors.New("a key before the first section: begin with [Peer]")
	}
	return p.set(strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value))
}

func (p *parser) section(line string) error {
	if strings.EqualFold(line, "[Interface]") {
		return errors.New("[Interface] is not for this file: this node has a key and port of its own; want [Peer]")
	}
	if !strings.EqualFold(line, "[Peer]") {
		return errors.New("no such section: want [Peer]")
	}
	if len(p.peers) == maxPeers {
		return fmt.Errorf("more than %d stock peers: front the others by another node", maxPeers)
	}
	p.peers = append(p.peers, Peer{Line: p.line})
	p.seen = map[string]bool{}
	return nil
}

// finish asks that the last section is complete.
func (p *parser) finish() error {
	if len(p.peers) == 0 {
		return nil
	}
	last := &p.peers[len(p.peers)-1]
	for _, key := range []string{"Name", "PublicKey", "AllowedIPs"} {
		if !p.seen[strings.ToLower(key)] {
			return p.at(last.Line, fmt.Errorf("this [Peer] has no %s: want Name, PublicKey and AllowedIPs", key))
		}
	}
	if last.Keepalive != 0 && !last.Endpoint.IsValid() {
		return p.at(last.Line, errors.New("PersistentKeepalive without an Endpoint: there is nobody to keep alive before the peer calls; set it at the peer, or give its Endpoint"))
	}
	return nil
}

func (p *parser) set(name, value string) error {
	if p.seen[name] {
		return errors.New("this key is in the section already: each once; AllowedIPs takes a list with commas")
	}
	p.seen[name] = true
	peer := &p.peers[len(p.peers)-1]
	switch name {
	case "name":
		return p.name(peer, value)
	case "publickey":
		return p.key(peer, value)
	case "allowedips":
		return p.allowed(peer, value)
	case "endpoint":
		return endpoint(peer, value)
	case "persistentkeepalive":
		return keepalive(peer, value)
	case "privatekey":
		return errors.New("a private key has no place here: it never leaves the peer's machine; make a new one there, since this file may be read")
	case "presharedkey":
		return errors.New("a PresharedKey is not supported: leave it out at both ends")
	}
	return errors.New("no such key: want Name, PublicKey, AllowedIPs, Endpoint or PersistentKeepalive")
}

func (p *parser) others() []Peer { return p.peers[:len(p.peers)-1] }

func (p *parser) name(peer *Peer, value string) error {
	if !isLabel(value) {
		return fmt.Errorf("the Name %q: want 1 to %d letters (a to z), digits and hyphens, no hyphen at the ends", clip(value), maxName)
	}
	for _, o := range p.others() {
		if o.Name == value {
			return fmt.Errorf("the Name %q is that of the [Peer] in line %d: want another", value, o.Line)
		}
	}
	peer.Name = value
	return nil
}

func isLabel(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= maxName && s[0] != '-' && s[len(s)-1] != '-'
}

func (p *parser) key(peer *Peer, value string) error {
	raw, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil || len(raw) != key.Size {
		return errors.New("PublicKey: want the 44 characters that `wg pubkey` prints")
	}
	k, err := key.TunnelPublicFrom(raw)
	if err != nil || k.IsZero() {
		return errors.New("PublicKey: that is no key: want what `wg pubkey` prints")
	}
	if k == p.limits.Own {
		return errors.New("PublicKey is that of this node itself: want the peer's")
	}
	for _, o := range p.others() {
		if o.Key == k {
			return fmt.Errorf("PublicKey is that of %s in line %d: every peer has one of its own", o.Name, o.Line)
		}
	}
	peer.Key = k
	return nil
}

func (p *parser) allowed(peer *Peer, value string) error {
	list := strings.Split(value, ",")
	if len(list) > maxAllowed {
		return fmt.Errorf("AllowedIPs: %d of them: want at most %d", len(list), maxAllowed)
	}
	for _, text := range list {
		prefix, err := parsePrefix(strings.TrimSpace(text))
		if err != nil {
			return err
		}
		if !p.limits.covers(prefix) {
			return fmt.Errorf("AllowedIPs %s: want addresses in the prefixes that are kept for stock peers: %s", prefix, join(p.limits.Prefixes))
		}
		for _, o := range p.peers {
			if slices.ContainsFunc(o.Allowed, prefix.Overlaps) {
				return fmt.Errorf("AllowedIPs %s overlaps with what the [Peer] in line %d has: every address has one peer", prefix, o.Line)
			}
		}
		peer.Allowed = append(peer.Allowed, prefix)
	}
	slices.SortFunc(peer.Allowed, netip.Prefix.Compare)
	return nil
}

// parsePrefix reads an address or a prefix.
func parsePrefix(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if a, bare := netip.ParseAddr(text); bare == nil && a.Zone() == "" {
		prefix, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	if err != nil || prefix.Addr().Is4In6() {
		return prefix, fmt.Errorf("AllowedIPs %q: want addresses or prefixes such as 10.99.0.2/32, with commas between", clip(text))
	}
	if prefix != prefix.Masked() {
		return prefix, fmt.Errorf("AllowedIPs %s has host bits: want %s, or %s/%d for the one address", prefix, prefix.Masked(), prefix.Addr(), prefix.Addr().BitLen())
	}
	return prefix, nil
}

func endpoint(peer *Peer, value string) error {
	at, err := netip.ParseAddrPort(value)
	if a := at.Addr(); err != nil || at.Port() == 0 || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" || a.Is4In6() {
		return fmt.Errorf("the Endpoint %q: want an address and port such as 192.0.2.7:51820; names are not looked up", clip(value))
	}
	peer.Endpoint = at
	return nil
}

func keepalive(peer *Peer, value string) error {
	if strings.EqualFold(value, "off") {
		value = "0"
	}
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil {
		return fmt.Errorf("PersistentKeepalive %q: want seconds, 0 to 65535, or off", clip(value))
	}
	peer.Keepalive = time.Duration(n) * time.Second
	return nil
}

// clip keeps what is repeated in an error short.
func clip(text string) string {
	const most = 64
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

func join(prefixes []netip.Prefix) string {
	var out []string
	for _, p := range prefixes {
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}
