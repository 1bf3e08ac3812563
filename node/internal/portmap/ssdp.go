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
	ssdpPort = 1900
	// maxSSDP bounds an answer, in bytes, and maxLocations how many descriptions
	// of one gateway are looked at.
	maxSSDP      = 2048
	maxLocations = 4
	// ssdpAgain is how often the question is repeated: multicast is lossy.
	ssdpAgain = 500 * time.Millisecond
)

// searchFor writes the questions for gateways of both versions (UPnP Device
// Architecture 1.1, section 1.3.2).
func searchFor() [][]byte {
	var out [][]byte
	for _, version := range []int{1, 2} {
		out = append(out, fmt.Appendf(nil, "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\n"+
			"ST: urn:schemas-upnp-org:device:InternetGatewayDevice:%d\r\n\r\n", version))
	}
	return out
}

// discover asks where the gateway describes itself, and gives each place to
// look until that says that it is satisfied or ctx ends. It asks the gateway's
// own address, and the group, for gateways that hear nothing else.
func discover(ctx context.Context, n Network, c control, look func(*url.URL) bool) error {
	l := net.ListenConfig{Control: c}
	conn, err := l.ListenPacket(ctx, "udp4", netip.AddrPortFrom(n.Local, 0).String())
	if err != nil {
		return fmt.Errorf("cannot be asked from here: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	var seen []string
	b := make([]byte, maxSSDP)
	for ctx.Err() == nil {
		shout(conn, n.Gateway)
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
func shout(conn net.PacketConn, gateway netip.Addr) {
	for _, q := range searchFor() {
		for _, to := range []netip.Addr{gateway, netip.AddrFrom4([4]byte{239, 255, 255, 250})} {
			conn.WriteTo(q, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, ssdpPort)))
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
	if from != gateway {
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
