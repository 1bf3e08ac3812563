package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"
)

// The D-Bus API of systemd-resolved, org.freedesktop.resolve1(5).
const (
	resolve1 = "org.freedesktop.resolve1"
	manager  = resolve1 + ".Manager."

	// resolvedDir is where it keeps the files that it makes.
	resolvedDir = "/run/systemd/resolve/"

	// families as it numbers them, which are Linux's.
	inet, inet6 = 2, 10

	callWithin = 5 * time.Second
)

// byResolved leads programs to us by what systemd-resolved knows of our
// interface: it forgets that as soon as the interface is gone, however the daemon
// ended.
type byResolved struct {
	bus     string // address; empty: the system's
	uplinks string // file that lists whom it asks

	conn    *dbus.Conn
	hangUp  context.CancelFunc // of conn
	index   int                // of the interface that was set
	domains []linkDomain       // that were set
	own     []netip.Addr
}

type linkServer struct {
	Family  int32
	Address []byte
}

type linkDomain struct {
	Name    string
	Routing bool // names in it come to us, but no short name is completed by it
}

func (*byResolved) via() string { return "systemd-resolved" }

func (r *byResolved) addresses(z *Zone) []netip.Addr {
	r.own = z.own
	return z.own
}

func (*byResolved) rest() bool { return false }

func (r *byResolved) resolvers() (servers []netip.AddrPort) {
	text, err := os.ReadFile(r.uplinks)
	if err != nil {
		return nil
	}
	for _, a := range nameservers(text) {
		if !slices.Contains(r.own, a) {
			servers = append(servers, netip.AddrPortFrom(a, port))
		}
	}
	return servers
}

// ready tells whether systemd-resolved is on the bus.
func (r *byResolved) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	if err := r.connect(); err != nil {
		return err
	}
	var yes bool
	err := r.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, resolve1).Store(&yes)
	if err == nil && !yes {
		return errNotRunning
	}
	return r.or(err)
}

// connect makes a connection if there is none. A bus that takes it and says
// nothing is given up.
func (r *byResolved) connect() error {
	if r.conn != nil && r.conn.Connected() {
		return nil
	}
	r.close()
	ctx, cancel := context.WithCancel(context.Background())
	late := time.AfterFunc(callWithin, cancel)
	defer late.Stop()
	dial := dbus.ConnectSystemBus
	if r.bus != "" {
		dial = func(o ...dbus.ConnOption) (*dbus.Conn, error) { return dbus.Connect(r.bus, o...) }
	}
	conn, err := dial(dbus.WithContext(ctx))
	if err != nil {
		cancel()
		return fmt.Errorf("the system's D-Bus: %w", err)
	}
	r.conn, r.hangUp = conn, cancel
	return nil
}

// or gives the connection up after an error of its own: the next call makes another.
func (r *byResolved) or(err error) error {
	if answered := new(dbus.Error); err != nil && !errors.As(err, answered) {
		r.close()
	}
	return err
}

func (r *byResolved) close() {
	if r.conn != nil {
		r.conn.Close()
		r.hangUp()
		r.conn = nil
	}
}

// call calls a method of the manager. It starts nothing that does not run.
func (r *byResolved) call(ctx context.Context, method string, args ...any) *dbus.Call {
	return r.conn.Object(resolve1, "/org/freedesktop/resolve1").CallWithContext(ctx, manager+method, dbus.FlagNoAutoStart, args...)
}

func indexOf(name string) (int, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return 0, fmt.Errorf("the interface %s: %w", name, err)
	}
	return link.Index, nil
}

func (r *byResolved) look(ctx context.Context, w wish) (standing, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	index, err := indexOf(w.iface)
	if err != nil || index != r.index || !r.wished(w) {
		return fresh, err
	}
	have, err := r.link(ctx)
	if err != nil {
		return fresh, r.or(err)
	}
	var servers []linkServer
	var domains []linkDomain
	var everything bool
	if err := errors.Join(stored(have, "DNS", &servers), stored(have, "Domains", &domains)); err != nil {
		return fresh, err
	}
	_ = stored(have, "DefaultRoute", &everything) // older ones tell by the domains alone
	same := func(a, b linkServer) bool { return a.Family == b.Family && slices.Equal(a.Address, b.Address) }
	if slices.EqualFunc(servers, serversOf(w), same) && sameDomains(domains, r.domains) && !everything {
		return stands, nil
	}
	return undone, nil
}

// errNotRunning says that there is nobody to tell.
var errNotRunning = errors.New("systemd-resolved does not run")

// link reads the properties of the interface that was set.
func (r *byResolved) link(ctx context.Context) (have map[string]dbus.Variant, err error) {
	var path dbus.ObjectPath
	if err := r.call(ctx, "GetLink", int32(r.index)).Store(&path); err != nil {
		return nil, err
	}
	err = r.conn.Object(resolve1, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", dbus.FlagNoAutoStart, resolve1+".Link").Store(&have)
	return have, err
}

func stored(have map[string]dbus.Variant, key string, into any) error {
	v, ok := have[key]
	if !ok {
		return fmt.Errorf("systemd-resolved does not tell %s of a link", key)
	}
	return v.Store(into)
}

func sameDomains(a, b []linkDomain) bool {
	has := func(list []linkDomain) func(linkDomain) bool {
		return func(d linkDomain) bool { return !slices.Contains(list, d) }
	}
	return !slices.ContainsFunc(a, has(b)) && !slices.ContainsFunc(b, has(a))
}

// wished tells whether what was set is what is wished now. An old
// systemd-resolved takes fewer domains than there may be; then those of addresses
// were left out.
func (r *byResolved) wished(w wish) bool {
	return sameDomains(r.domains, domainsOf(w.domains, w.reverse)) || sameDomains(r.domains, domainsOf(w.domains))
}

func serversOf(w wish) (servers []linkServer) {
	for _, a := range w.addresses {
		family := int32(inet6)
		if a.Is4() {
			family = inet
		}
		servers = append(servers, linkServer{family, a.AsSlice()})
	}
	return servers
}

func domainsOf(lists ...[]string) (domains []linkDomain) {
	for _, name := range slices.Concat(lists...) {
		domains = append(domains, linkDomain{name, true})
	}
	return domains
}

// apply sets the domains before the servers: a server of a link without domains
// would for a moment be asked for all names.
func (r *byResolved) apply(ctx context.Context, w wish) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	index, err := indexOf(w.iface)
	if err != nil {
		return err
	}
	if err := r.connect(); err != nil {
		return err
	}
	// From here on there is something to revert, however far this comes.
	r.index, r.domains = index, nil
	link := int32(index)
	r.narrow(ctx, link)
	domains := domainsOf(w.domains, w.reverse)
	if err = r.call(ctx, "SetLinkDomains", link, domains).Err; errors.As(err, new(dbus.Error)) {
		domains = domainsOf(w.domains)
		err = r.call(ctx, "SetLinkDomains", link, domains).Err
	}
	if err == nil {
		err = r.call(ctx, "SetLinkDNS", link, serversOf(w)).Err
	}
	if err != nil {
		return fmt.Errorf("telling systemd-resolved of the mesh's names: %w", r.or(err))
	}
	r.domains = domains
	return nil
}

// narrow turns off what is not to be asked of us, where systemd-resolved knows
// it: names of everything, questions to all on the link, and what a server of
// the Internet should have, encryption and signatures. What it refuses shows
// when the rest is set.
func (r *byResolved) narrow(ctx context.Context, link int32) {
	for _, method := range []string{"SetLinkLLMNR", "SetLinkMulticastDNS", "SetLinkDNSOverTLS", "SetLinkDNSSEC"} {
		_ = r.call(ctx, method, link, "no").Err
	}
	_ = r.call(ctx, "SetLinkDefaultRoute", link, false).Err
}

// revert forgets what was set, and the connection.
func (r *byResolved) revert(ctx context.Context) error {
	defer r.close()
	if r.index == 0 || r.connect() != nil {
		return nil // with the bus the settings are gone too, or go with the interface
	}
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	err := r.call(ctx, "RevertLink", int32(r.index)).Err
	r.index, r.domains = 0, nil
	if gone := new(dbus.Error); errors.As(err, gone) && (gone.Name == resolve1+".NoSuchLink" || gone.Name == "org.freedesktop.DBus.Error.ServiceUnknown") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("taking the mesh's names from systemd-resolved: %w", err)
	}
	return nil
}
