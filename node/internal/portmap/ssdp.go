package portmap

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

const (
	// maxSSDP bounds an answer, in bytes, and maxLocations how many descriptions
	// of one gateway are looked at.
	maxSSDP      = 2048
	maxLocations = 4
	// ssdpAgain is how often the question is repeated: multicast is lossy.
	ssdpAgain = 500 * time.Millisecond
)

// question asks one host, or the group, for gateways of a version (UPnP Device
// Architecture 1.1, section 1.3.2).
func question(to netip.AddrPort, version int) []byte {
	return fmt.Appendf(nil, "M-SEARCH * HTTP/1.1\r\nHOST: %v\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\n"+
		"ST: urn:schemas-upnp-org:device:InternetGatewayDevice:%d\r\n\r\n", to, version)
}

// discover asks where the gateway describes itself, and gives each place to
// look until that says that it is satisfied or ctx ends. It asks the gateway's
// own address, and the group, for gateways that hear nothing else.
func discover(ctx context.Context, n Network, s sockets, look func(*url.URL) bool) error {
	conn, err := s.listen(ctx, n.Local)
	if err != nil {
		return fmt.Errorf("cannot be asked from here: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	var seen []string
	b := make([]byte, maxSSDP+1) // one more: what is too long shows
	for ctx.Err() == nil {
		shout(conn, n.Gateway, s.ssdpPort)
		conn.SetReadDeadline(time.Now().Add(ssdpAgain))
		for ctx.Err() == nil {
			size, from, err := conn.ReadFrom(b)
			if err != nil {
				break
			}
			at, ok := location(b[:size], addrOf(from), n.Gateway)
			if !ok || slices.Contains(seen, at.String()) || len(seen) == maxLocations {
				continue
			}
			seen = append(seen, at.String())
			if look(at) {
				return nil
			}
		}
	}
	return errSilent
}

// shout sends the questions. What cannot be sent is asked again soon.
func shout(conn net.PacketConn, gateway netip.Addr, port uint16) {
	for _, host := range []netip.Addr{gateway, netip.AddrFrom4([4]byte{239, 255, 255, 250})} {
		to := netip.AddrPortFrom(host, port)
		for _, version := range []int{1, 2} {
			conn.WriteTo(question(to, version), net.UDPAddrFromAddrPort(to))
		}
	}
}

func addrOf(a net.Addr) netip.Addr {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.Addr{}
	}
	return u.AddrPort().Addr().Unmap()
}

// location reads an answer: one of the gateway, which points to the gateway.
func location(b []byte, from, gateway netip.Addr) (*url.URL, bool) {
	if from != gateway || len(b) > maxSSDP {
		return nil, false
	}
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
	if err != nil {
		return nil, false
	}
	defer r.Body.Close()
	at, err := url.Parse(r.Header.Get("Location"))
	if r.StatusCode != http.StatusOK || err != nil || !leadsTo(at, gateway) {
		return nil, false
	}
	return at, true
}

// leadsTo tells whether a URL names the gateway by its address.
func leadsTo(u *url.URL, gateway netip.Addr) bool {
	host, err := netip.ParseAddr(u.Hostname())
	return err == nil && u.Scheme == "http" && host.Unmap() == gateway && u.User == nil
}
