// Package dns answers the names of a mesh on the node's own machine, and leads
// the machine's programs to ask it.
//
// NAME.DOMAIN is answered from the node's map: for itself and for its peers, and
// so are the names of their addresses. Whatever else is in the mesh's domain, or
// is an address of the mesh's ranges, does not exist. So no resolver beyond this
// machine hears of the mesh, and nobody on this machine learns of a node that its
// map does not name. Names of other domains go to the resolvers that an admin
// gave for them.
//
// Invariants:
//
//   - Only this machine is answered: a packet from elsewhere is not even read,
//     and an answer goes to an address of this machine or nowhere.
//   - A question costs little, whoever asks: what it may be is bounded before it
//     is parsed, and so are the questions that are on their way at one time.
//   - What the machine knew before stays where it was. systemd-resolved holds
//     our settings with the interface, and drops them with it; into a
//     resolv.conf two lines are put before what is there, and taken out again.
//     Nothing is copied aside, so nothing old can be put back on another network.
//   - The coordinator and the relays are never found through the mesh: their
//     names go to the machine's own resolvers, also where the mesh's domain or
//     a route covers them.
//
// Whether a packet may then go to an address is the filter's matter alone: a
// name gives no right.
package dns

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"

	miekg "github.com/miekg/dns"
)

// Mode says how this machine's programs come to ask.
type Mode string

// The modes.
const (
	Off      Mode = "off"      // nothing is answered, nothing is changed
	Auto     Mode = "auto"     // Resolved where systemd-resolved runs, else Off
	Resolved Mode = "resolved" // by systemd-resolved's settings of the interface
	File     Mode = "file"     // by a line in /etc/resolv.conf
	Serve    Mode = "serve"    // answer, and change nothing
)

// ParseMode reads a mode; empty is Off.
func ParseMode(text string) (Mode, error) {
	switch m := Mode(text); m {
	case "":
		return Off, nil
	case Off, Auto, Resolved, File, Serve:
		return m, nil
	}
	return "", fmt.Errorf("%q is no way to answer names: want off, auto, resolved, file or serve", text)
}

// Route sends the names of one domain to resolvers of its own.
type Route struct {
	Domain  string // lower case, without a final dot
	Servers []netip.AddrPort
}

const (
	maxServers = 4  // of one route
	maxRoutes  = 64 // systemd-resolved takes 256 domains, the mesh's ranges among them
)

// errRoute tells what a route looks like.
var errRoute = errors.New("want DOMAIN=SERVER[,SERVER], such as hospital.example=10.0.0.53,10.0.1.53")

// ParseRoute reads "DOMAIN=SERVER[,SERVER]"; a server is an address, or an
// address and port.
func ParseRoute(text string) (Route, error) {
	domain, list, ok := strings.Cut(text, "=")
	domain = strings.TrimSuffix(miekg.CanonicalName(domain), ".")
	if _, fits := miekg.IsDomainName(domain); !ok || !fits || domain == "" || strings.ContainsFunc(domain, odd) {
		return Route{}, errRoute
	}
	r := Route{Domain: domain}
	for _, word := range strings.Split(list, ",") {
		server, err := netip.ParseAddrPort(word)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(word); err != nil {
				return Route{}, errRoute
			}
			server = netip.AddrPortFrom(a, port)
		}
		if a := server.Addr(); server.Port() == 0 || a.IsUnspecified() || a.IsMulticast() || a.Is4In6() || len(r.Servers) == maxServers {
			return Route{}, errRoute
		}
		r.Servers = append(r.Servers, server)
	}
	return r, nil
}

// odd tells what is in no domain that people name; the underscore is in those of
// services.
func odd(r rune) bool {
	return r != '-' && r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
}

// CheckRoutes refuses too many, and a domain that is there twice.
func CheckRoutes(routes []Route) error {
	if len(routes) > maxRoutes {
		return fmt.Errorf("%d routes, at most %d", len(routes), maxRoutes)
	}
	seen := map[string]bool{}
	for _, r := range routes {
		if seen[r.Domain] {
			return fmt.Errorf("%s is there twice: name all its servers in one route", r.Domain)
		}
		seen[r.Domain] = true
	}
	return nil
}

const port = 53

// Loopback gives the address on which the names of the mesh with this interface
// are answered where the interface's own cannot be used. Each interface has
// another, so that two meshes on one machine need not agree. The kernel takes no
// packet for it from outside; and where no daemon runs it answers at once that
// nobody is there, instead of letting whoever asks wait.
func Loopback(iface string) netip.Addr {
	h := fnv.New32a()
	h.Write([]byte(iface))
	sum := h.Sum32()
	return netip.AddrFrom4([4]byte{127, 67, 1 + byte(sum%254), 1 + byte(sum>>8%254)})
}
