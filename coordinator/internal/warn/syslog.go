package warn

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// Syslog sends warnings as RFC 5424 has them: over UDP (RFC 5426), TCP with octet
// counting (RFC 6587), TLS (RFC 5425), or to this machine's own socket.
type Syslog struct {
	network, address string
	tls              *tls.Config // nil: in clear
	host             string
	now              func() time.Time
}

// Facility 13 is "log audit", severity 4 "warning" (RFC 5424, section 6.2.1).
const priority = 13*8 + 4

// NewSyslog makes a sink of udp://HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT or
// unix:///PATH. Host is this machine's name, as the log shall show it.
func NewSyslog(address, host string, now func() time.Time) (*Syslog, error) {
	u, err := url.Parse(address)
	bad := fmt.Errorf("%q is not allowed: want udp://HOST:514, tcp://HOST:601, tls://HOST:6514 or unix:///dev/log", address)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, bad
	}
	s := &Syslog{network: u.Scheme, address: u.Host, host: word(host), now: now}
	switch u.Scheme {
	case "unix":
		s.network, s.address = "unixgram", u.Path
		if u.Host != "" || u.Path == "" {
			return nil, bad
		}
		return s, nil
	case "tls":
		s.network, s.tls = "tcp", &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	case "udp", "tcp":
	default:
		return nil, bad
	}
	if u.Hostname() == "" || u.Port() == "" || u.Path != "" && u.Path != "/" {
		return nil, bad
	}
	return s, nil
}

// Name says where warnings go.
func (s *Syslog) Name() string { return "syslog " + s.address }

// Send sends a warning on a connection of its own: there are few, and one that was
// kept would break unseen meanwhile.
func (s *Syslog) Send(ctx context.Context, w Warning) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if end, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(end); err != nil {
			return err
		}
	}
	text := s.format(w)
	if s.network == "tcp" {
		text = fmt.Sprintf("%d %s", len(text), text)
	}
	_, err = conn.Write([]byte(text))
	return err
}

func (s *Syslog) dial(ctx context.Context) (net.Conn, error) {
	if s.tls != nil {
		return (&tls.Dialer{Config: s.tls}).DialContext(ctx, s.network, s.address)
	}
	return new(net.Dialer).DialContext(ctx, s.network, s.address)
}

// format gives the message: PRI VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID
// STRUCTURED-DATA MSG, where the mark of UTF-8 begins MSG (section 6.4).
func (s *Syslog) format(w Warning) string {
	return fmt.Sprintf("<%d>1 %s %s cordon-coordinator - %s - \ufeff%s", priority, s.now().UTC().Format("2006-01-02T15:04:05.000Z"), s.host, word("lapse-"+w.Kind), w.Text())
}

// word gives a field of the header: printable ASCII without blanks, or "-".
func word(text string) string {
	text = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, text)
	if text == "" {
		return "-"
	}
	return text[:min(len(text), 32)]
}
