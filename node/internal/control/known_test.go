package control_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
)

// placed is a connection in memory that has an address.
type placed struct {
	net.Conn
	at netip.AddrPort
}

func (p placed) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(p.at) }

// internet has the coordinator at one address, and a name server that may be
// down or lie.
type internet struct {
	r     *rig
	truth netip.Addr
	mu    sync.Mutex
	says  netip.Addr // of the name server; invalid: it does not answer
	tried []string
}

func newInternet(r *rig) *internet {
	i := &internet{r: r, truth: netip.MustParseAddr("203.0.113.5")}
	i.says = i.truth
	r.dial = i.dial
	return i
}

func (i *internet) name(says netip.Addr) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.says, i.tried = says, nil
}

func (i *internet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	i.mu.Lock()
	host, _, _ := net.SplitHostPort(address)
	i.tried = append(i.tried, host)
	at, err := netip.ParseAddr(host)
	if err != nil {
		at = i.says
	}
	i.mu.Unlock()
	if !at.IsValid() {
		return nil, &net.DNSError{Err: "no answer", Name: host, IsTimeout: true}
	}
	if at != i.truth {
		mine, theirs := net.Pipe()
		theirs.Close() // somebody who is no coordinator
		return placed{mine, netip.AddrPortFrom(at, 8443)}, nil
	}
	conn, err := i.r.c.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return placed{conn, netip.AddrPortFrom(at, 8443)}, nil
}

// once lets the node reach its coordinator one time.
func (i *internet) once() {
	i.r.started()
	i.r.send(i.r.c.Next(), i.r.full(i.r.at(controltest.At(1, 1, 5))))
}

// A node finds its coordinator where it was, when the name server does not answer
// or lies, also after a reboot; and never notes an address at which the mesh
// root was not proved.
func TestCoordinatorIsFoundWhereItWas(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t)
		i := newInternet(r)
		i.once()
		for what, says := range map[string]netip.Addr{"down": {}, "a liar": netip.MustParseAddr("192.0.2.66")} {
			i.name(says)
			r.reboot()
			r.c.Next()
			kept, err := os.ReadFile(filepath.Join(r.path, "coordinator.json"))
			if err != nil || !strings.Contains(string(kept), "203.0.113.5") || strings.Contains(string(kept), "192.0.2.66") {
				t.Errorf("with the name server %s, kept is %s, %v", what, kept, err)
			}
			if i.mu.Lock(); i.tried[0] != "coordinator.test" {
				t.Errorf("with the name server %s, tried were %v: the name comes first", what, i.tried)
			}
			i.mu.Unlock()
		}
		// A coordinator that moved is found by its name, whatever was kept.
		i.name(netip.MustParseAddr("198.51.100.7"))
		i.truth = netip.MustParseAddr("198.51.100.7")
		r.reboot()
		r.c.Next()
	})
}

// Whoever signs out while the coordinator is away reads one line of why.
func TestWhyTheCoordinatorIsNotReachedIsOneLine(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t)
		i := newInternet(r)
		i.once()
		r.c.Cut(true)
		for _, tt := range []struct {
			says netip.Addr
			want []string
		}{
			{netip.Addr{}, []string{"connection refused", "lookup coordinator.test: no answer"}},
			{i.truth, []string{"connection refused"}}, // name and address lead to one place
		} {
			i.name(tt.says)
			_, err := r.follower.Logout(t.Context(), "s1")
			why, away := strings.CutPrefix(fmt.Sprint(err), "the coordinator is away: ")
			got := strings.Split(why, "; ")
			slices.Sort(got) // they take turns in coming first
			if !away || !errors.Is(err, control.ErrAway) || !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", err, tt.want)
			}
			var lookup *net.DNSError
			if errors.As(err, &lookup) == tt.says.IsValid() {
				t.Errorf("the cause is lost: %v", err)
			}
		}
	})
}

// Without an address, of another coordinator or damaged, there is nothing to try
// but the name.
func TestWhatIsKeptOfTheCoordinatorIsItsOwn(t *testing.T) {
	for what, content := range map[string]string{
		"nothing":     "",
		"another's":   `{"host": "other.test", "addresses": ["203.0.113.5"]}`,
		"damaged":     `{"host": "coordinator.test", "addresses": ["203.0.`,
		"no address":  `{"host": "coordinator.test", "addresses": []}`,
		"not a place": `{"host": "coordinator.test", "addresses": ["", ""]}`,
	} {
		virtual(t, func(t *testing.T) {
			r := newRig(t)
			i := newInternet(r)
			i.name(netip.Addr{})
			if content != "" {
				if err := os.WriteFile(filepath.Join(r.path, "coordinator.json"), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r.begin()
			time.Sleep(2 * time.Second)
			r.stop()
			if len(i.tried) == 0 {
				t.Errorf("%s: nothing was tried", what)
			}
			for _, host := range i.tried {
				if host != "coordinator.test" {
					t.Errorf("%s: %q was tried", what, host)
				}
			}
		})
	}
}
