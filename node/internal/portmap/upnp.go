package portmap

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/huin/goupnp"
	"github.com/huin/goupnp/dcps/internetgateway2"
	"github.com/huin/goupnp/soap"
)

const (
	// label is what a router's page shows beside the mapping.
	label = "Cordon"
	// maxServices bounds how many connections of a gateway are looked at: a
	// router with a modem has two.
	maxServices = 4
	// portTries is how many external ports are tried, if others have them.
	portTries = 4
)

// Error codes of AddPortMapping (UPnP WANIPConnection:2, section 2.5.16).
const (
	codeConflict      = 718 // another client has the port
	codePermanentOnly = 725
	codeOtherMeans    = 729 // the router itself has it, or gave it away by other means
)

// connection is a WAN connection of a gateway: WANIPConnection:2, :1 or
// WANPPPConnection:1.
type connection interface {
	GetExternalIPAddressCtx(ctx context.Context) (string, error)
	AddPortMappingCtx(ctx context.Context, remoteHost string, externalPort uint16, protocol string, internalPort uint16,
		internalClient string, enabled bool, description string, leaseSeconds uint32) error
	DeletePortMappingCtx(ctx context.Context, remoteHost string, externalPort uint16, protocol string) error
}

// upnp is the door to a UPnP Internet Gateway Device.
type upnp struct {
	network Network
	sockets sockets
	client  http.Client
	conn    connection // the last that probe found; valid once it found one
}

func newUPnP(n Network, s sockets) *upnp {
	return &upnp{network: n, sockets: s, client: guarded(n, s)}
}

func (u *upnp) protocol() Protocol { return UPnP }

// forgot is never known: UPnP's answers carry no clock.
func (u *upnp) forgot() bool { return false }

// probe finds the connection that leads outside. If it finds none, the one that
// made the mapping stays: it is still needed to renew and to delete.
func (u *upnp) probe(ctx context.Context) error {
	var last error
	err := discover(ctx, u.network, u.sockets, func(at *url.URL) bool {
		var found connection
		if found, last = u.describe(ctx, at); last == nil {
			u.conn = found
		}
		return last == nil
	})
	if err != nil && last != nil {
		return plain(last)
	}
	return err
}

// describe reads the description at a URL and finds a connection that knows its
// external address.
func (u *upnp) describe(ctx context.Context, at *url.URL) (connection, error) {
	root, err := u.fetch(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("its description: %w", err)
	}
	last := errors.New("its description names no WAN connection")
	for i, c := range connections(root, at, u.client) {
		if i == maxServices {
			break
		}
		if _, last = external(ctx, c); last == nil {
			return c, nil
		}
	}
	return nil, last
}

func (u *upnp) fetch(ctx context.Context, at *url.URL) (*goupnp.RootDevice, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := u.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	return parseDescription(resp.Body, at)
}

// parseDescription reads a device's description. Its URLs are taken as relative
// to where it was found: a base of its own could only lead elsewhere.
func parseDescription(r io.Reader, at *url.URL) (*goupnp.RootDevice, error) {
	root := new(goupnp.RootDevice)
	d := xml.NewDecoder(r)
	d.DefaultSpace = goupnp.DeviceXMLNamespace
	if err := d.Decode(root); err != nil {
		return nil, err
	}
	root.SetURLBase(at)
	return root, nil
}

// connections gives the WAN connections of a device, the newest kind first.
func connections(root *goupnp.RootDevice, at *url.URL, client http.Client) (out []connection) {
	// An error of these says that there are none.
	ip2, _ := internetgateway2.NewWANIPConnection2ClientsFromRootDevice(root, at)
	ip1, _ := internetgateway2.NewWANIPConnection1ClientsFromRootDevice(root, at)
	ppp, _ := internetgateway2.NewWANPPPConnection1ClientsFromRootDevice(root, at)
	for _, c := range ip2 {
		c.SOAPClient.HTTPClient = client
		out = append(out, c)
	}
	for _, c := range ip1 {
		c.SOAPClient.HTTPClient = client
		out = append(out, c)
	}
	for _, c := range ppp {
		c.SOAPClient.HTTPClient = client
		out = append(out, c)
	}
	return out
}

func external(ctx context.Context, c connection) (netip.Addr, error) {
	text, err := c.GetExternalIPAddressCtx(ctx)
	if err != nil {
		return netip.Addr{}, err
	}
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() || a.IsUnspecified() {
		return netip.Addr{}, errors.New("it has no external address (is its own uplink down?)")
	}
	return a, nil
}

// open maps the wanted port, or another one if somebody else has that. It asks
// for the address first: a gateway that has none makes no mapping that nobody is
// told of.
func (u *upnp) open(ctx context.Context, want netip.AddrPort) (g grant, err error) {
	addr, err := external(ctx, u.conn)
	if err != nil {
		return g, plain(err)
	}
	port := want.Port()
	for range portTries {
		g.life, err = u.add(ctx, port)
		if c := code(err); c != codeConflict && c != codeOtherMeans {
			break
		}
		port = uint16(1024 + rand.IntN(1<<16-1024))
	}
	g.external = netip.AddrPortFrom(addr, port)
	return g, plain(err)
}

// add asks for one external port: with an end, and without if the gateway knows
// nothing else.
func (u *upnp) add(ctx context.Context, port uint16) (time.Duration, error) {
	try := func(lease time.Duration) error {
		return u.conn.AddPortMappingCtx(ctx, "", port, "UDP", u.network.Port, u.network.Local.String(), true, label, uint32(lease/time.Second))
	}
	err := try(lifetime)
	if code(err) == codePermanentOnly {
		err = try(0)
	}
	return lifetime, err
}

func (u *upnp) shut(ctx context.Context, g grant) error {
	return plain(u.conn.DeletePortMappingCtx(ctx, "", g.external.Port(), "UDP"))
}

// code is the UPnP error code of a refusal; 0: err is none.
func code(err error) int {
	var fault *soap.SOAPFaultError
	if errors.As(err, &fault) {
		return fault.Detail.UPnPError.Errorcode
	}
	return 0
}

// plain puts an error into words that may be shown: the library's quote what the
// gateway sent, at length, and with whatever would steer a terminal.
func plain(err error) error {
	const most = 200
	switch {
	case err == nil:
		return nil
	case code(err) != 0:
		return fmt.Errorf("it refused: UPnP error %d", code(err))
	}
	printable := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, err.Error())
	return fmt.Errorf("%.*s", most, printable)
}
