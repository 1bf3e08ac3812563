package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// WebClient asks a coordinator as a browser would: by the authorities that this
// machine trusts, and following no redirection, for the answer is the host's own.
func WebClient() *http.Client {
	return &http.Client{
		Timeout:       2 * dialTimeout,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: Control(nil).Dialer().DialContext, TLSHandshakeTimeout: dialTimeout, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// FindRoot asks a coordinator for the fingerprint of its mesh root. The answer is
// worth what the certificate is worth that c sees.
func FindRoot(ctx context.Context, c *http.Client, url string) (key.Fingerprint, error) {
	const advice = "; give the mesh's fingerprint, which an admin knows, with --fingerprint"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+wire.RootPath, nil)
	if err != nil {
		return key.Fingerprint{}, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return key.Fingerprint{}, fmt.Errorf("nobody vouches for the coordinator: %w%s", err, advice)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return key.Fingerprint{}, fmt.Errorf("%s is no coordinator at which machines join by a sign-in (%s): ask its admin for an enrolment string", url, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if err != nil {
		return key.Fingerprint{}, fmt.Errorf("asking for the mesh's fingerprint: %w", err)
	}
	pin, err := key.ParseFingerprint(strings.TrimSpace(string(text)))
	if err != nil {
		return key.Fingerprint{}, fmt.Errorf("%s gave no fingerprint of a mesh%s", url, advice)
	}
	return pin, nil
}

// Joining is a sign-in by which this machine joins a mesh.
type Joining struct {
	Login Login

	dir *Dir
	k   *Keys
	at  wire.Enrolment // without a secret
	log *slog.Logger
}

// BeginJoin opens a sign-in at the coordinator of a mesh, whose root has the pinned
// fingerprint. A machine that joined in this way before, and never heard of it, is
// given its identity at once, and no Joining. Whoever calls saves the identity.
func BeginJoin(ctx context.Context, d *Dir, k *Keys, url string, pin key.Fingerprint, name, version string, log *slog.Logger) (*Joining, *Identity, error) {
	j := &Joining{dir: d, k: k, at: wire.Enrolment{URL: url, Fingerprint: pin}, log: log}
	c, err := j.open()
	if err != nil {
		return nil, nil, err
	}
	defer c.close()
	statement, err := d.Statement(k)
	if err != nil {
		return nil, nil, err
	}
	resp, err := c.BeginJoin(ctx, connect.NewRequest(&wire.BeginJoinRequest{Name: name, Statement: statement, Os: system(), Version: version, Level: wire.Level}))
	if err != nil {
		return nil, nil, fmt.Errorf("joining at %s: %w", url, plain(err))
	}
	if resp.Msg.Enrolled != nil {
		id, err := j.identity(resp.Msg.Enrolled)
		return nil, id, err
	}
	if resp.Msg.Login == nil {
		return nil, nil, errors.New("the coordinator opened no sign-in")
	}
	j.Login, err = loginFrom(resp.Msg.Login)
	return j, nil, err
}

func (j *Joining) open() (*channel, error) {
	return open(way{}, j.at.URL, &j.k.Node, nil, j.at.Fingerprint, time.Now)
}

func (j *Joining) identity(m *wire.EnrolResponse) (*Identity, error) {
	id, err := identityFrom(m, j.at, j.k)
	if err != nil {
		return nil, fmt.Errorf("joining at %s: %w", j.at.URL, err)
	}
	return id, nil
}

// Await returns when the sign-in has ended. If somebody signed in it gives this
// machine's identity, which is for the caller to save; else the outcome says why not.
func (j *Joining) Await(ctx context.Context) (*Identity, Outcome, error) {
	m, err := awaitEnd(ctx, j.log, func(ctx context.Context) (*wire.AwaitJoinResponse, error) {
		c, err := j.open()
		if err != nil {
			return nil, err
		}
		defer c.close()
		return untilEnded(ctx, func(ctx context.Context) (*wire.AwaitJoinResponse, error) {
			resp, err := c.AwaitJoin(ctx, connect.NewRequest(&wire.AwaitJoinRequest{Login: j.Login.ID}))
			if err != nil {
				return nil, err
			}
			return resp.Msg, nil
		})
	})
	if err != nil {
		return nil, Outcome{}, err
	}
	switch m.State {
	case wire.AwaitLoginResponse_DONE:
		id, err := j.identity(m.Enrolled)
		return id, Outcome{State: m.State}, err
	case wire.AwaitLoginResponse_REFUSED, wire.AwaitLoginResponse_EXPIRED:
		return nil, Outcome{State: m.State, Reason: m.Reason}, nil
	}
	return nil, Outcome{}, fmt.Errorf("the coordinator says of the sign-in %v, which this version does not know", m.State)
}
