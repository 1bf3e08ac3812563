package relay

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Measured is what [Dialer.Measure] found out.
type Measured struct {
	RTT time.Duration // the shortest of a few answers over TLS
	Way Way
}

// looks is how many answers are timed: the first one may wait for the relay's
// processor, none is shorter than the way.
const looks = 3

// Measure asks the relay a few times over one TLS connection, as far as its HTTP:
// no key and no ticket are shown. It fails as Open does.
func (d *Dialer) Measure(ctx context.Context) (m Measured, err error) {
	u, err := d.target()
	if err != nil {
		return m, err
	}
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	conn, way, err := d.secure(ctx, u)
	if err != nil {
		return m, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	m.Way = way
	r := bufio.NewReader(io.LimitReader(conn, looks*maxAnswer))
	for range looks {
		began := time.Now()
		if _, err := io.WriteString(conn, "GET "+u.EscapedPath()+" HTTP/1.1\r\nHost: "+u.Host+"\r\n\r\n"); err != nil {
			return m, fmt.Errorf("measuring relay %s: %w", u.Host, err)
		}
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			return m, fmt.Errorf("%w: no HTTP answer from %s: %w", ErrUpgrade, u.Host, err)
		}
		if answer.StatusCode != http.StatusNoContent || answer.Header.Get("Server") != UpgradeToken {
			return m, fmt.Errorf("%w: %s answers %q", ErrUpgrade, u.Host, printable(answer.Status))
		}
		if rtt := time.Since(began); m.RTT == 0 || rtt < m.RTT {
			m.RTT = rtt
		}
	}
	return m, nil
}
