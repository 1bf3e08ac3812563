package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// dialTimeout bounds how long a coordinator that does not answer is waited for.
const dialTimeout = 10 * time.Second

// channel is a client on a connection of its own.
type channel struct {
	wire.NodeServiceClient
	transport *http.Transport
}

func (c *channel) close() { c.transport.CloseIdleConnections() }

// open makes a channel to a coordinator whose mesh root has the pinned
// fingerprint. The chain is the node's certificate; without one a self-signed
// certificate proves the key.
func open(url string, k *key.NodePrivate, chain [][]byte, pin key.Fingerprint, now func() time.Time) (*channel, error) {
	cert := wire.NodeCertificate(k, chain)
	if len(chain) == 0 {
		var err error
		if cert, err = wire.SelfSigned(k); err != nil {
			return nil, err
		}
	}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 20 * time.Second, Interval: 10 * time.Second, Count: 3}}
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSClientConfig: wire.ClientTLS(cert, pin, now),
		TLSHandshakeTimeout: dialTimeout, ForceAttemptHTTP2: true, IdleConnTimeout: 90 * time.Second, DisableCompression: true,
	}
	client := wire.NewNodeServiceClient(&http.Client{Transport: t}, url,
		connect.WithReadMaxBytes(wire.MaxMessage+1<<20), connect.WithAcceptCompression("gzip", nil, nil))
	return &channel{client, t}, nil
}

// Enrol spends the enrolment string and saves the identity that it gives.
// A repetition after a lost answer is safe: the same key with the same token
// is given the same node.
func Enrol(ctx context.Context, d *Dir, k *Keys, e wire.Enrolment, name, version string) (*Identity, error) {
	c, err := open(e.URL, &k.Node, nil, e.Fingerprint, time.Now)
	if err != nil {
		return nil, err
	}
	defer c.close()
	statement, err := d.Statement(k)
	if err != nil {
		return nil, err
	}
	resp, err := c.Enrol(ctx, connect.NewRequest(&wire.EnrolRequest{
		Secret: e.Secret, Name: name, Statement: statement, Os: runtime.GOOS, Version: version, Level: wire.Level,
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
	id := &Identity{URL: e.URL, Root: root, Node: m.Node, Chain: m.Chain, Pending: m.Pending}
	if err := id.keepMapKeys(m.MapKeys); err != nil {
		return nil, err
	}
	return id, nil
}

// keepMapKeys verifies certificates and keeps them in the identity.
func (i *Identity) keepMapKeys(certs []*wire.MapKeyCertificate) error {
	trust, err := i.Trust()
	if err != nil {
		return err
	}
	for _, c := range certs {
		if err := trust.Add(c); err != nil {
			return fmt.Errorf("map key: %w", err)
		}
	}
	i.MapKeys = nil
	for _, c := range trust.Certificates() {
		b, err := proto.Marshal(c)
		if err != nil {
			return err
		}
		i.MapKeys = append(i.MapKeys, b)
	}
	return nil
}

// Trust gives the map keys that the identity holds, verified anew.
func (i *Identity) Trust() (*wire.Trust, error) {
	trust := wire.NewTrust(i.Root)
	for _, b := range i.MapKeys {
		c := new(wire.MapKeyCertificate)
		if err := proto.Unmarshal(b, c); err != nil {
			return nil, fmt.Errorf("identity: a map key certificate does not decode: %w", err)
		}
		if err := trust.Add(c); err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
	}
	return trust, nil
}

// Recipient says whose messages this node takes.
func (i *Identity) Recipient() wire.Recipient { return wire.Recipient{Mesh: i.Mesh(), Node: i.Node} }

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
