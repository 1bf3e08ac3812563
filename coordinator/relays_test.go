package coordinator_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/pion/stun/v3"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/server"
)

// withRelay is what the program's flags make: the real relay, inside.
func withRelay(c *coordinator.Config) {
	c.Relay = func(c coordinator.RelayConfig) (coordinator.Relay, error) {
		s, err := server.New(server.Config{Roots: c.Roots, Admit: c.Admit, Now: c.Now, Log: c.Log})
		if err != nil {
			return nil, err
		}
		return relayServer{s}, nil
	}
}

type relayServer struct{ *server.Server }

func (relayServer) RespondSTUN(ctx context.Context, conn net.PacketConn) error {
	return server.RespondSTUN(ctx, conn)
}

// offer follows until the coordinator has said which relays there are.
func (m *machine) offer(t *testing.T) wire.RelayOffer {
	t.Helper()
	stream, err := m.Follow(t.Context(), connect.NewRequest(&wire.FollowRequest{Level: wire.Level, Instance: []byte("run")}))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for stream.Receive() {
		if r := stream.Msg().GetRelays(); r != nil {
			o, err := wire.ParseRelays(r)
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
	}
	t.Fatal("nothing was said of relays:", stream.Err())
	return wire.RelayOffer{}
}

// dialer reaches the relay inside r as a node does that was told of it.
func (r *running) dialer(own wire.RelayRecord) *relay.Dialer {
	d := &relay.Dialer{URL: "https://" + r.address, Pin: relay.Pin(own.Pin)}
	if own.Pin == wire.RelayPin(r.founded.Fingerprint) {
		d.Pin, d.TLS = relay.Pin{}, wire.CoordinatorTLS(r.founded.Fingerprint, time.Now)
	}
	return d
}

// connected is a client of a relay, and what it was given.
type connected struct {
	*relay.Client
	in     chan string
	states chan relay.State
}

func (m *machine) relayed(t *testing.T, d *relay.Dialer, ticket []byte) *connected {
	t.Helper()
	c := &connected{in: make(chan string, 16), states: make(chan relay.State, 64)}
	c.Client = relay.NewClient(relay.ClientConfig{Open: d.Open, Node: &m.key, Instance: relay.NewInstance(),
		Receive: func(_ key.NodePublic, b []byte) { c.in <- string(b) },
		OnState: func(s relay.State) { c.states <- s }})
	if err := c.SetTicket(ticket); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return c
}

// await gives the first state that is wanted.
func (c *connected) await(t *testing.T, want func(relay.State) bool) relay.State {
	t.Helper()
	for over := time.After(30 * time.Second); ; {
		select {
		case s := <-c.states:
			if want(s) {
				return s
			}
		case <-over:
			t.Fatal("the client's state is not what was waited for")
		}
	}
}

func up(s relay.State) bool { return s.Connected }

func refusedWith(code relay.Code) func(relay.State) bool {
	return func(s relay.State) bool {
		var refused *relay.RefusedError
		return errors.As(s.Err, &refused) && refused.Code == code
	}
}

// The ticket that a stream gave opens the relay inside the coordinator, on the
// one TLS port; two nodes speak over it; and who is removed is out at once.
func TestNodesMeetAtTheRelayInside(t *testing.T) {
	cert, certKey := webCertificate(t)
	for name, change := range map[string]func(*coordinator.Config){
		"by the mesh root": withRelay,
		"by a web certificate's pin": func(c *coordinator.Config) {
			withRelay(c)
			c.WebCert, c.WebKey = cert, certKey
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := begin(t, change)
			_, secret := r.token(&admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ENROL, User: "ana@clinic.example", Uses: 10})
			one, other := r.enrol(secret), r.enrol(secret)
			offer := one.offer(t)
			if len(offer.Relays) != 1 || offer.Relays[0].Name != coordinator.OwnRelay || offer.Relays[0].URL != "https://127.0.0.1:8443/relay" || offer.Relays[0].STUN != 8443 {
				t.Fatalf("offered is %+v", offer.Relays)
			}
			if left := time.Until(offer.End); left < 7*24*time.Hour-time.Minute || left > 7*24*time.Hour {
				t.Errorf("the ticket lasts for %s", left)
			}
			d := r.dialer(offer.Relays[0])
			d.OnlyWebSocket = name == "by the mesh root"
			a, b := one.relayed(t, r.dialer(offer.Relays[0]), offer.Ticket), other.relayed(t, d, other.offer(t).Ticket)
			if way := a.await(t, up).Way; way.WebSocket {
				t.Error("the coordinator's web server takes no Upgrade")
			}
			b.await(t, up)
			if !a.Send(other.key.Public(), []byte("there")) || <-b.in != "there" || !b.Send(one.key.Public(), []byte("back")) || <-a.in != "back" {
				t.Fatal("nothing came over the relay")
			}
			if _, err := r.root.RemoveNode(t.Context(), connect.NewRequest(&admin.RemoveNodeRequest{Node: one.id})); err != nil {
				t.Fatal(err)
			}
			// Its ticket is good for days yet, and it is refused again.
			a.await(t, refusedWith(relay.Denied))
			a.Redial()
			a.await(t, refusedWith(relay.Denied))
			if b.Send(one.key.Public(), []byte("x")); len(b.states) != 0 {
				t.Error("the other one's connection ended too")
			}
			// So is that of whose owner is shut out.
			if _, err := r.root.DisableUser(t.Context(), connect.NewRequest(&admin.DisableUserRequest{User: "ana@clinic.example"})); err != nil {
				t.Fatal(err)
			}
			b.await(t, refusedWith(relay.Denied))
			b.Redial()
			b.await(t, refusedWith(relay.Denied))
		})
	}
}

func TestForeignTicketsOpenNoRelay(t *testing.T) {
	r, elsewhere := begin(t, withRelay), begin(t, withRelay)
	_, secret := r.token(enrolToken())
	_, foreign := elsewhere.token(enrolToken())
	one, other, stranger := r.enrol(secret), r.enrol(secret), elsewhere.enrol(foreign)
	offer := one.offer(t)
	d := r.dialer(offer.Relays[0])
	for what, c := range map[string]*connected{
		"another node's":  other.relayed(t, d, offer.Ticket),
		"another mesh's":  stranger.relayed(t, d, stranger.offer(t).Ticket),
		"nobody's at all": one.relayed(t, d, []byte("a ticket")),
	} {
		if s := c.await(t, func(relay.State) bool { return true }); !refusedWith(relay.BadTicket)(s) {
			t.Errorf("with %s ticket: %+v", what, s)
		}
	}
}

// The relay stands on the web's side alone, takes connections longer than the
// coordinator's own bounds would let a request last, and is not there unasked.
func TestDoorOfTheRelay(t *testing.T) {
	r := begin(t, withRelay)
	_, secret := r.token(enrolToken())
	m := r.enrol(secret)
	get := func(c *http.Client) int {
		resp, err := c.Get("https://" + r.address + wire.RelayPath)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for what, got := range map[string][2]int{
		"a passer-by":        {get(r.operator("portal.example")), http.StatusNoContent},
		"a node's door":      {get(m.http), http.StatusNotFound},
		"an operator's door": {get(r.operator(admin.ServerName)), http.StatusNotFound},
	} {
		if got[0] != got[1] {
			t.Errorf("%s is answered %d, want %d", what, got[0], got[1])
		}
	}
	without := begin(t, nil)
	resp, err := without.operator("portal.example").Get("https://" + without.address + wire.RelayPath)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		t.Error("a relay answers that nobody asked for")
	}
	_, secret = without.token(enrolToken())
	if o := without.enrol(secret).offer(t); len(o.Relays) != 0 || len(o.Ticket) != 0 {
		t.Errorf("offered is %+v", o)
	}
}

func TestRelaysOfTheConfiguration(t *testing.T) {
	r := begin(t, func(c *coordinator.Config) {
		withRelay(c)
		ward, err1 := coordinator.ParseRelay("ward=https://relay.clinic.example#" + strings.Repeat("ab", 32))
		annex, err2 := coordinator.ParseRelay("annex=https://192.0.2.7:8443/annex,stun=0")
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		c.Relays, c.RelayTicketLife = []coordinator.RelayRecord{ward, annex}, time.Hour
	})
	_, secret := r.token(enrolToken())
	o := r.enrol(secret).offer(t)
	if len(o.Relays) != 3 || o.Relays[0].Name != "annex" || o.Relays[0].Pin != (wire.RelayPin{}) || o.Relays[2].Pin[31] != 0xab ||
		o.Relays[0].STUN != 0 || o.Relays[2].STUN != 3478 {
		t.Errorf("offered is %+v", o.Relays)
	}
	if left := time.Until(o.End); left < 59*time.Minute || left > time.Hour {
		t.Errorf("the ticket lasts for %s", left)
	}
	for _, bad := range []string{"", "ward", "ward=", "=https://r.example", "Ward=https://r.example", "ward=http://r.example", "ward=https://r.example#",
		"ward=https://r.example#ab", "ward=https://r.example#" + strings.Repeat("00", 32), "ward=https://r.example?x", "ward=https://r.example,stun=", "ward=https://r.example,stun=65536"} {
		if got, err := coordinator.ParseRelay(bad); err == nil {
			t.Errorf("%q gives %+v", bad, got)
		}
	}
	for what, change := range map[string]func(*coordinator.Config){
		"relay-ticket-life":              func(c *coordinator.Config) { c.RelayTicketLife = time.Minute },
		"relay-ticket-life: \"8761h":     func(c *coordinator.Config) { c.RelayTicketLife = 8761 * time.Hour },
		"a name that no other relay has": func(c *coordinator.Config) { c.Relays = append(c.Relays, c.Relays[0]) },
		"\"coordinator\" is not allowed": func(c *coordinator.Config) { c.Relays[0].Name = coordinator.OwnRelay },
		"stun: \"3478\"":                 func(c *coordinator.Config) { c.STUN = "3478" },
		"NAME=URL":                       func(c *coordinator.Config) { c.Relays[0].URL = "http://r.example" },
	} {
		c := r.config
		c.Relays = append([]coordinator.RelayRecord(nil), c.Relays...)
		change(&c)
		wants(t, c.Validate(), what)
	}
}

// asksSTUN asks for the address at which a UDP socket is seen.
func asksSTUN(t *testing.T, server string) (seen, own string) {
	t.Helper()
	conn, err := net.Dial("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client, err := stun.NewClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var at stun.XORMappedAddress
	err = client.Do(stun.MustBuild(stun.TransactionID, stun.BindingRequest), func(e stun.Event) {
		if err = e.Error; err == nil {
			err = at.GetFrom(e.Message)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return at.String(), conn.LocalAddr().String()
}

func TestSTUNIsAnsweredBesideTheTLSPort(t *testing.T) {
	r := begin(t, withRelay)
	if seen, own := asksSTUN(t, r.address); seen != own {
		t.Errorf("seen at %s, want %s", seen, own)
	}
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.LocalAddr().(*net.UDPAddr)
	free.Close()
	r = begin(t, func(c *coordinator.Config) { withRelay(c); c.STUN = address.String() })
	if seen, own := asksSTUN(t, address.String()); seen != own {
		t.Errorf("seen at %s, want %s", seen, own)
	}
	_, secret := r.token(enrolToken())
	if o := r.enrol(secret).offer(t); o.Relays[0].STUN != uint16(address.Port) {
		t.Errorf("offered is %+v", o.Relays)
	}
	r = begin(t, func(c *coordinator.Config) { withRelay(c); c.STUN = "none" })
	_, secret = r.token(enrolToken())
	if o := r.enrol(secret).offer(t); o.Relays[0].STUN != 0 {
		t.Errorf("offered is %+v", o.Relays)
	}
}
