package control

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// dialTimeout bounds how long a coordinator that does not answer is waited for.
const dialTimeout = 10 * time.Second

const maxChain = 4 // leaf, mesh CA, mesh root, and one to spare

// channel is a client on a connection of its own.
type channel struct {
	wire.NodeServiceClient
	transport *http.Transport
	sockets   *sockets
}

func (c *channel) close() { c.transport.CloseIdleConnections() }

// Dial opens a connection; nil is the machine's own way, through a proxy if the
// environment names one.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Control is put upon every socket towards the coordinator, a proxy or a name
// server before it is used, to keep it beneath the tunnel: a route of the mesh
// that covers one of them would else cut this node off from the only one who
// could take that route back. Nil does nothing.
type Control func(network, address string, c syscall.RawConn) error

// way is how connections towards a coordinator are opened.
type way struct {
	dial     Dial // nil: the machine's own
	control  Control
	resolver *net.Resolver // nil: control's
	known    *known        // nil: nothing is remembered
}

// dialer opens connections this way.
func (w way) dialer() Dial {
	dial := w.dial
	if dial == nil {
		d := w.control.Dialer()
		if w.resolver != nil {
			d.Resolver = w.resolver
		}
		dial = d.DialContext
	}
	if w.known != nil {
		dial = w.known.dial(dial)
	}
	return dial
}

// Dialer opens connections the machine's own way.
func (c Control) Dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, Control: c, Resolver: c.Resolver(),
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 20 * time.Second, Interval: 10 * time.Second, Count: 3}}
}

// Resolver asks the machine's own name servers, beneath the tunnel.
func (c Control) Resolver() *net.Resolver {
	if c == nil {
		return net.DefaultResolver
	}
	names := &net.Dialer{Timeout: dialTimeout, Control: c}
	return &net.Resolver{PreferGo: true, Dial: names.DialContext}
}

// open makes a channel to a coordinator whose mesh root has the pinned
// fingerprint. The chain is the node's certificate; without one a self-signed
// certificate proves the key.
func open(w way, url string, k *key.NodePrivate, chain [][]byte, pin key.Fingerprint, now func() time.Time) (*channel, error) {
	cert := wire.NodeCertificate(k, chain)
	if len(chain) == 0 {
		var err error
		if cert, err = wire.SelfSigned(k); err != nil {
			return nil, err
		}
	}
	proxy := http.ProxyFromEnvironment
	if w.dial != nil {
		proxy = nil
	}
	socks := &sockets{dial: w.dialer()}
	t := &http.Transport{
		Proxy: proxy, DialContext: socks.open, TLSClientConfig: wire.ClientTLS(cert, pin, now),
		TLSHandshakeTimeout: dialTimeout, ForceAttemptHTTP2: true, IdleConnTimeout: 90 * time.Second, DisableCompression: true,
	}
	client := wire.NewNodeServiceClient(&http.Client{Transport: t}, url,
		connect.WithReadMaxBytes(wire.MaxMessage+1<<20), connect.WithAcceptCompression("gzip", nil, nil))
	return &channel{client, t, socks}, nil
}

// Enrol spends the enrolment string and saves the identity that it gives.
// A repetition after a lost answer is safe: the same key with the same token
// is given the same node. The connection is left on the line, for the follower.
func Enrol(ctx context.Context, d *Dir, k *Keys, e wire.Enrolment, name, version string, line *Line) (_ *Identity, err error) {
	c, err := open(way{}, e.URL, &k.Node, nil, e.Fingerprint, time.Now)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.close()
		} else {
			line.keep(c)
		}
	}()
	statement, err := d.Statement(k)
	if err != nil {
		return nil, err
	}
	resp, err := c.Enrol(ctx, connect.NewRequest(&wire.EnrolRequest{
		Secret: e.Secret, Name: name, Statement: statement, Os: system(), Version: version, Level: wire.Level,
	}))
	if err != nil {
		return nil, fmt.Errorf("enrolling at %s: %w", e.URL, plain(err))
	}
	id, err := identityFrom(resp.Msg, e, k)
	if err != nil {
		return nil, fmt.Errorf("enrolling at %s: %w", e.URL, err)
	}
	return id, d.SaveIdentity(id)
}

func identityFrom(m *wire.EnrolResponse, e wire.Enrolment, k *Keys) (*Identity, error) {
	root, err := key.RootPublicFrom(m.RootKey)
	if err != nil || root.Fingerprint() != e.Fingerprint {
		return nil, errors.New("the answer names another mesh root than the enrolment string")
	}
	if m.Node != wire.NodeID(k.Node.Public()) {
		return nil, errors.New("the answer is for another node key")
	}
	if err := checkChain(m.Chain, &k.Node); err != nil {
		return nil, err
	}
	trust := wire.NewTrust(root)
	for _, c := range m.MapKeys {
		if err := trust.Add(c); err != nil {
			return nil, fmt.Errorf("map key: %w", err)
		}
	}
	id := &Identity{URL: e.URL, Root: root, Node: m.Node, Chain: m.Chain, Pending: m.Pending}
	id.MapKeys, err = serialised(trust)
	return id, err
}

// checkChain refuses a certificate chain that TLS could not show: with one in
// its identity a node would never get through to be given a better one.
func checkChain(chain [][]byte, k *key.NodePrivate) error {
	if len(chain) == 0 || len(chain) > maxChain {
		return fmt.Errorf("%d certificates for this node, want its own and those above it, at most %d", len(chain), maxChain)
	}
	for i, der := range chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("certificate %d for this node does not decode", i)
		}
		if own, ok := cert.PublicKey.(ed25519.PublicKey); i == 0 && (!ok || !own.Equal(k.Public().Standard())) {
			return errors.New("the certificate is for another key than this node's")
		}
	}
	return nil
}

// Statement gives the node's signed word on its keys: the one on disk as long
// as the keys are those, else a new one.
func (d *Dir) Statement(k *Keys) (*wire.Statement, error) {
	const name = "statement"
	b, err := d.read(name)
	if err != nil {
		return nil, err
	}
	s := new(wire.Statement)
	if b != nil && proto.Unmarshal(b, s) == nil {
		stated, err := wire.VerifyStatement(k.Node.Public(), s)
		if err == nil && stated.Tunnel == k.Tunnel.Public() && stated.Path == k.Path.Public() {
			return s, nil
		}
	}
	s = wire.SignStatement(&k.Node, k.Tunnel.Public(), k.Path.Public(), uint64(time.Now().UnixMilli()))
	if b, err = proto.Marshal(s); err != nil {
		return nil, err
	}
	return s, d.write(name, b)
}

// plain takes the code off an answer's error: people want its words.
func plain(err error) error {
	var answer *connect.Error
	if errors.As(err, &answer) && answer.Unwrap() != nil {
		return answer.Unwrap()
	}
	return err
}
