package coordinator

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/ipam"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Config is everything that a coordinator is started with.
type Config struct {
	StateDir string // keys, store, socket; made by Init
	Listen   string // the one TLS port; empty: ":8443"
	Metrics  string // Prometheus metrics over plain HTTP; empty: none
	Socket   string // unix socket of the admin API; empty: admin.sock in StateDir
	Version  string

	// Relays are the relays of this mesh that stand elsewhere: see [ParseRelay].
	Relays []wire.RelayRecord
	// Relay makes the relay that stands inside the coordinator, on the web's side of
	// its TLS port at [wire.RelayPath]; nil: none. What a coordinator is made of
	// knows no relay's inside: the program that starts it brings one.
	Relay func(RelayConfig) (Relay, error)
	// STUN is the UDP address at which the relay inside answers STUN; empty: that of
	// Listen, so that nodes find it at the port that URL names. "none": nowhere.
	STUN string
	// RelayTicketLife is how long a node's ticket for relays lasts, from 10 minutes
	// to a year; 0: 7 days. It is renewed when half of it is over.
	RelayTicketLife time.Duration

	// WebCert and WebKey are PEM files with the certificate that browsers and
	// other strangers are shown. Nodes and operators' tools never see it.
	WebCert, WebKey string

	Warnings Warnings // the zero value: to the log alone

	SignIn SignIn // the zero value: people need not, and cannot, sign in
	SCIM   SCIM   // the zero value: no directory provisions anybody

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: silent
}

// Setup is what a new mesh is made from.
type Setup struct {
	StateDir string
	URL      string       // where nodes will reach the coordinator: https://host:port
	Domain   string       // names are NAME.Domain; empty: "mesh.internal"
	IPv4     netip.Prefix // zero: 100.64.0.0/10
	IPv6     netip.Prefix // zero: a random ULA /48
}

// settings are what Init decided and Run needs again.
type settings struct {
	URL string `json:"url"`
}

const (
	fileSettings  = "coordinator.json"
	fileStore     = "cordon.db"
	fileLocalKey  = "local.key"
	fileRefresh   = "refresh.db" // in no backup
	fileMarks     = "marks.key"  // likewise
	folderKeys    = "keys"
	folderRosters = "rosters"
	fileSocket    = "admin.sock"
)

// Validate names the first key with a bad value, the value, and what is allowed.
func (c *Config) Validate() error {
	if c.StateDir == "" {
		return notAllowed("state", "", "a directory that `cordon-coordinator init` made")
	}
	for _, address := range []struct{ key, value string }{{"listen", c.Listen}, {"metrics", c.Metrics}, {"stun", c.STUN}} {
		if address.value == "" || address == struct{ key, value string }{"stun", noSTUN} {
			continue
		}
		_, port, err := net.SplitHostPort(address.value)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
			return notAllowed(address.key, address.value, "an address such as :8443 or 10.0.0.5:8443")
		}
	}
	if (c.WebCert == "") != (c.WebKey == "") {
		return notAllowed("web-cert and web-key", c.WebCert+c.WebKey, "both or neither")
	}
	if err := c.SignIn.validate(); err != nil {
		return err
	}
	if err := c.SCIM.validate(&c.SignIn); err != nil {
		return err
	}
	return c.validateRelays()
}

// Validate is that of Config, for a new mesh. Init makes keys and a store before
// the registry has its say, so what the registry would refuse is refused here.
func (s *Setup) Validate() error {
	if s.StateDir == "" {
		return notAllowed("state", "", "a directory that is not there yet, or is empty")
	}
	if err := wire.CheckURL(s.URL); err != nil {
		return notAllowed("url", s.URL, "https://host:port, as nodes will reach this coordinator, in lower case")
	}
	if s.Domain != "" {
		if err := registry.CheckDomain(s.Domain); err != nil {
			return err
		}
	}
	if s.IPv4.IsValid() && (!s.IPv4.Addr().Is4() || s.IPv4.Bits() > 24 || !isRange(s.IPv4)) {
		return notAllowed("ipv4", s.IPv4.String(), "an IPv4 range from a /8 to a /24")
	}
	if s.IPv6.IsValid() && (!s.IPv6.Addr().Is6() || s.IPv6.Addr().Is4In6() || s.IPv6.Bits() > 64 || !isRange(s.IPv6)) {
		return notAllowed("ipv6", s.IPv6.String(), "an IPv6 range from a /32 to a /64")
	}
	return nil
}

// isRange tells whether addresses can be handed out from p, once it is masked.
func isRange(p netip.Prefix) bool {
	_, err := ipam.New(p.Masked())
	return err == nil
}

func notAllowed(key, value, allowed string) error {
	return fmt.Errorf("%s: %q is not allowed: want %s", key, value, allowed)
}

// withDefaults fills what was left empty.
func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = ":8443"
	}
	if c.Socket == "" {
		c.Socket = filepath.Join(c.StateDir, fileSocket)
	}
	if c.RelayTicketLife == 0 {
		c.RelayTicketLife = ticketLife
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func readSettings(dir string) (s settings, err error) {
	path := filepath.Join(dir, fileSettings)
	b, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("there is no coordinator in %s: make one with `cordon-coordinator init --state %s --url https://HOST:PORT`, or restore one: %w", dir, dir, err)
	}
	if err := json.Unmarshal(b, &s); err != nil || s.URL == "" {
		return s, fmt.Errorf("%s is damaged: it must hold {\"url\": \"https://host:port\"}", path)
	}
	return s, nil
}

func writeSettings(dir string, s settings) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, fileSettings), append(b, '\n'), 0o600)
}
