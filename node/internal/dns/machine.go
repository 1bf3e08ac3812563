package dns

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
)

// machine is a way to lead this machine's programs to our server. One goroutine
// uses it.
type machine interface {
	// via names it for people.
	via() string
	// addresses are where our server is to answer.
	addresses(z *Zone) []netip.Addr
	// ready tells why the machine cannot be told anything.
	ready(ctx context.Context) error
	// look tells whether programs are led to us as wished.
	look(ctx context.Context, w wish) (standing, error)
	apply(ctx context.Context, w wish) error
	// revert leaves the machine as if we had never been there.
	revert(ctx context.Context) error
	// resolvers are those that the machine asks but for us; rest says that we are
	// asked everything, and must pass it on to them.
	resolvers() []netip.AddrPort
	rest() bool
}

// standing is how a wish stands.
type standing int

const (
	fresh  standing = iota // the machine was not told yet
	undone                 // it was, and somebody else took it back
	stands
)

// wish is what the machine is to know. Domains have no final dot.
type wish struct {
	iface     string
	addresses []netip.Addr
	domains   []string // that are answered by us alone
	reverse   []string // likewise, of addresses
}

// serving changes nothing: somebody else has told a resolver of us.
type serving struct{ iface string }

func (serving) via() string                                  { return "a resolver that you tell" }
func (s serving) addresses(*Zone) []netip.Addr               { return []netip.Addr{Loopback(s.iface)} }
func (serving) ready(context.Context) error                  { return nil }
func (serving) look(context.Context, wish) (standing, error) { return stands, nil }
func (serving) apply(context.Context, wish) error            { return nil }
func (serving) revert(context.Context) error                 { return nil }
func (serving) resolvers() []netip.AddrPort                  { return nil }
func (serving) rest() bool                                   { return false }

// byFile leads programs to us by a resolv.conf.
type byFile struct {
	file resolvConf
	told bool
}

func (b *byFile) via() string                  { return b.file.path }
func (b *byFile) addresses(*Zone) []netip.Addr { return []netip.Addr{Loopback(b.file.iface)} }
func (*byFile) rest() bool                     { return true }

// errManaged says who would undo what we write.
var errManaged = errors.New("this machine's resolv.conf leads to systemd-resolved: use --dns resolved")

func (b *byFile) ready(context.Context) error {
	to, err := filepath.EvalSymlinks(b.file.path)
	if err != nil {
		return err
	}
	text, err := b.file.read()
	if strings.HasPrefix(to, resolvedDir) || slices.ContainsFunc(nameservers(text), stub) {
		return errManaged
	}
	return err
}

// stub tells systemd-resolved's own addresses. Where it does not make the file it
// reads it, and would ask us what we ask it.
func stub(a netip.Addr) bool {
	return a == netip.AddrFrom4([4]byte{127, 0, 0, 53}) || a == netip.AddrFrom4([4]byte{127, 0, 0, 54})
}

func (b *byFile) look(context.Context, wish) (standing, error) {
	text, err := b.file.read()
	switch {
	case err != nil:
		return fresh, err
	case b.file.stands(text):
		b.told = true
		return stands, nil
	case b.told:
		return undone, nil
	}
	return fresh, nil
}

func (b *byFile) apply(context.Context, wish) error {
	err := b.file.insert()
	b.told = b.told || err == nil
	return err
}

func (b *byFile) revert(context.Context) error {
	b.told = false
	_, err := b.file.remove()
	return err
}

func (b *byFile) resolvers() []netip.AddrPort {
	text, err := b.file.read()
	if err != nil {
		return nil
	}
	return b.file.originals(text)
}
