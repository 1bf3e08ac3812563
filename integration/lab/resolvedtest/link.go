package resolvedtest

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// The shapes of D-Bus arguments: a(iay) and a(sb).
type (
	server struct {
		Family  int32
		Address []byte
	}
	domain struct {
		Name    string
		Routing bool
	}
)

// signature of a method's arguments, as org.freedesktop.resolve1(5) prints it.
func signature(method string) string {
	switch method {
	case "GetLink", "RevertLink":
		return "i"
	case "SetLinkDNS":
		return "ia(iay)"
	case "SetLinkDomains":
		return "ia(sb)"
	case "SetLinkDefaultRoute":
		return "ib"
	}
	return "is"
}

// set is one of the Set... methods, or RevertLink.
func (r *Resolved) set(method string, index int32, args []any) *dbus.Error {
	if method == "RevertLink" {
		delete(r.links, index)
		return nil
	}
	l := r.links[index]
	if l == nil {
		l = &Link{DefaultRoute: true}
		r.links[index] = l
	}
	var err error
	switch method {
	case "SetLinkDNS":
		err = l.setServers(args)
	case "SetLinkDomains":
		err = l.setDomains(args, r.maxDomains)
	case "SetLinkDefaultRoute":
		err = dbus.Store(args, &l.DefaultRoute)
	case "SetLinkLLMNR", "SetLinkMulticastDNS", "SetLinkDNSSEC", "SetLinkDNSOverTLS":
		if args[0] == "no" {
			l.Off = append(l.Off, strings.TrimPrefix(method, "SetLink"))
		}
	default:
		return failed("org.freedesktop.DBus.Error.UnknownMethod")
	}
	if err != nil {
		return failed("org.freedesktop.DBus.Error.InvalidArgs")
	}
	return nil
}

func (l *Link) setServers(args []any) error {
	var list []server
	if err := dbus.Store(args, &list); err != nil {
		return err
	}
	l.DNS = nil
	for _, s := range list {
		a, ok := netip.AddrFromSlice(s.Address)
		if !ok || a.Is4() != (s.Family == 2) {
			return fmt.Errorf("%v is no address", s)
		}
		l.DNS = append(l.DNS, a)
	}
	return nil
}

func (l *Link) setDomains(args []any, limit int) error {
	var list []domain
	if err := dbus.Store(args, &list); err != nil {
		return err
	}
	if len(list) > limit {
		return fmt.Errorf("%d domains", len(list))
	}
	l.Domains = nil
	for _, d := range list {
		if d.Routing {
			d.Name = "~" + d.Name
		}
		l.Domains = append(l.Domains, d.Name)
	}
	return nil
}

// properties gives a link's, in the shapes in which it was set. The domains come
// in an order of our own.
func (r *Resolved) properties(path dbus.ObjectPath) ([]any, *dbus.Error) {
	var index int32
	if _, err := fmt.Sscanf(string(path), linkPrefix+"%d", &index); err != nil {
		return nil, failed("org.freedesktop.DBus.Error.UnknownObject")
	}
	l := r.links[index]
	if l == nil {
		l = &Link{}
	}
	servers, domains := []server{}, []domain{}
	for _, a := range l.DNS {
		s := server{10, a.AsSlice()}
		if a.Is4() {
			s.Family = 2
		}
		servers = append(servers, s)
	}
	for _, text := range slices.Sorted(slices.Values(l.Domains)) {
		bare, routing := strings.CutPrefix(text, "~")
		domains = append(domains, domain{bare, routing})
	}
	return []any{map[string]dbus.Variant{
		"DNS": dbus.MakeVariant(servers), "Domains": dbus.MakeVariant(domains), "DefaultRoute": dbus.MakeVariant(l.DefaultRoute),
	}}, nil
}

// Index of an interface of this network, or 0.
func Index(name string) int {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return link.Index
}
