//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/integration/idp"
)

// shift is how many sign in in how long at the change of a shift. A day has two
// of twelve hours: sessions that live so long begin and end at dayRate.
const (
	shiftPeople = 3000
	shiftTime   = 5 * time.Minute
	dayRate     = 10000 / (12 * 3600.0) // a second, of 10,000 people
	perServer   = 100                   // people's machines for each server
)

// logins: people who sign in at one coordinator, through its pages and a real
// provider, at the rate of a shift's change; then what sessions cost that end.
// Provider, browsers and machines share the processors with the coordinator.
func (b *bench) logins() error {
	people := pick(b, 10000, 400)
	ctx, cancel := context.WithCancel(b.ctx)
	var g group
	defer g.wait()
	defer cancel()
	dir := filepath.Join(b.dir, "signin")
	w := &ward{swarm: &swarm{bench: b, dir: dir, owners: map[string]wire.Enrolment{}, api: admin.NewSocketClient(filepath.Join(dir, "admin.sock"))}}
	err := w.begin(ctx, &g, people)
	defer func() { w.coordinator.end(); w.api.Close() }()
	if err != nil {
		return fmt.Errorf("%w: %s", err, w.coordinator.lastWords())
	}
	for _, step := range []func(context.Context, *group) error{w.populate, w.rest, w.shift, w.ends} {
		if err := step(ctx, &g); err != nil {
			return fmt.Errorf("%w: %s", err, w.coordinator.lastWords())
		}
	}
	return nil
}

// ward is a swarm whose people sign in.
type ward struct {
	*swarm
	issuer string
	idle   time.Duration // of processor time that the coordinator takes in a second with nothing to do
	last   time.Time     // when the shift was complete

	every     time.Duration // the provider is asked for each session; 0: for none
	secured   bool          // the provider is asked over TLS
	inquiries inquiries
}

// life is how long sessions live here: all of a shift have begun before the
// first ends.
func (w *ward) life() time.Duration { return w.length() + time.Minute }

func (w *ward) length() time.Duration { return pick(w.bench, shiftTime, 20*time.Second) }

func (w *ward) shiftSize() int {
	return int(float64(shiftPeople) * w.length().Seconds() / shiftTime.Seconds())
}

func person(i int) string { return fmt.Sprintf("p%d@h.example", i) }

// begin makes the mesh and the provider, and starts both.
func (w *ward) begin(ctx context.Context, g *group, people int) (err error) {
	if w.address, err = freeAddress(); err != nil {
		return err
	}
	if err := w.serveProvider(ctx, g, people); err != nil {
		return err
	}
	if err := os.WriteFile(w.secret(), []byte(idp.ClientSecret), 0o600); err != nil {
		return err
	}
	w.flags = w.provided(w.life())
	if w.every > 0 {
		w.flags = w.provided(12 * time.Hour)
	}
	program := filepath.Join(w.bench.bin, "cordon-coordinator")
	if _, err := tool(ctx, program, "init", "--state", w.dir, "--url", "https://"+w.address); err != nil {
		return err
	}
	if err := w.serve(ctx, g); err != nil {
		return err
	}
	if err := w.set(ctx, wardPolicy(people)); err != nil {
		return err
	}
	for i := range swarmGroups {
		err = errors.Join(err, w.token(ctx, fmt.Sprintf("tag:s%d", i)))
	}
	var mu sync.Mutex
	return errors.Join(err, inParallel(people, func(i int) error {
		resp, err := w.api.CreateToken(ctx, connect.NewRequest(&admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ENROL, Uses: 1, User: person(i)}))
		if err != nil {
			return fmt.Errorf("make a token for %s: %w", person(i), err)
		}
		e, err := wire.ParseEnrolment(resp.Msg.Text)
		mu.Lock()
		defer mu.Unlock()
		w.owners[person(i)] = e
		return err
	}))
}

func (w *ward) secret() string { return filepath.Join(w.bench.dir, "client-secret") }

// provided gives the coordinator's flags about its provider, for sessions that live so
// long.
func (w *ward) provided(life time.Duration) []string {
	flags := []string{"--oidc-issuer", w.issuer, "--oidc-client-id", idp.ClientID, "--oidc-client-secret-file", w.secret(), "--session-life", life.String()}
	if w.every > 0 {
		flags = append(flags, "--oidc-check", w.every.String(), "--oidc-scope", "profile", "--oidc-scope", "email", "--oidc-scope", "offline_access")
	}
	return flags
}

// wardPolicy gives a tenth of the people each a tenth of the servers.
func wardPolicy(people int) string {
	var b strings.Builder
	b.WriteString("{\"groups\": {\n")
	for g := range swarmGroups {
		var members []string
		for i := g; i < people; i += swarmGroups {
			members = append(members, `"`+person(i)+`"`)
		}
		fmt.Fprintf(&b, "\"group:g%d\": [%s],\n", g, strings.Join(members, ","))
	}
	b.WriteString("}, \"tagOwners\": {\n")
	for g := range swarmGroups {
		fmt.Fprintf(&b, "\"tag:s%d\": [],\n", g)
	}
	b.WriteString("}, \"grants\": [\n")
	for g := range swarmGroups {
		fmt.Fprintf(&b, "{\"id\": \"r%d\", \"src\": [\"group:g%d\"], \"dst\": [\"tag:s%d\"], \"ip\": [\"tcp:443\"]},\n", g, g, g)
	}
	b.WriteString("]}\n")
	return b.String()
}

// serveProvider serves a provider that knows all, until ctx is done.
func (w *ward) serveProvider(ctx context.Context, g *group, people int) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	scheme := "http://"
	if w.secured {
		certificate, err := w.bench.trusted()
		if err != nil {
			return err
		}
		scheme, l = "https://", tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}})
	}
	w.issuer = scheme + l.Addr().String() + "/"
	var mails []string
	for i := range people {
		mails = append(mails, person(i))
	}
	server := &http.Server{ReadHeaderTimeout: patience, ConnState: w.inquiries.state, Handler: w.inquiries.counted(idp.Serve(w.issuer, "https://"+w.address, mails...))}
	context.AfterFunc(ctx, func() { server.Close() })
	g.start(func() { _ = server.Serve(l) })
	return nil
}

// populate enrols and connects a machine for each, and a server for a hundred.
func (w *ward) populate(ctx context.Context, g *group) error {
	for i := range len(w.owners) - swarmGroups {
		w.agents = append(w.agents, w.newcomer(person(i)))
	}
	for i := range max(swarmGroups, len(w.agents)/perServer) {
		w.agents = append(w.agents, w.newcomer(fmt.Sprintf("tag:s%d", i%swarmGroups)))
	}
	return inParallel(len(w.agents), func(i int) error {
		if err := w.agents[i].enrol(ctx); err != nil {
			return err
		}
		return w.agents[i].connect(ctx, g)
	})
}

// rest measures what the coordinator takes while nothing happens.
func (w *ward) rest(ctx context.Context, _ *group) error {
	span := pick(w.bench, time.Minute, 10*time.Second)
	if err := pauseUntil(ctx, time.Now().Add(pick(w.bench, wire.UnhurriedWithin+10*time.Second, settle))); err != nil {
		return err // all have acknowledged what their peers' joins brought, by then
	}
	spent, err := w.spent(ctx, span)
	w.idle = time.Duration(float64(spent) / span.Seconds())
	w.bench.results.add(row{What: fmt.Sprintf("coordinator with %d machines that follow, nobody signed in, at rest", len(w.agents)),
		Value: 100 * w.idle.Seconds(), Unit: "% of a core"})
	return err
}

// spent gives the processor time that the coordinator takes in a span.
func (w *ward) spent(ctx context.Context, span time.Duration) (time.Duration, error) {
	before, err := cpuOf(w.coordinator.pid())
	if err != nil {
		return 0, err
	}
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(span):
	}
	after, err := cpuOf(w.coordinator.pid())
	return after - before, err
}

// shift signs people in at an even rate, whether those before are done or not.
func (w *ward) shift(ctx context.Context, _ *group) error {
	size, every := w.shiftSize(), w.length()/time.Duration(w.shiftSize())
	var mu sync.Mutex
	var ours samples
	var failed error
	var under group
	maps, bytes := w.traffic.maps.Load(), w.traffic.mapBytes.Load()
	before, err := cpuOf(w.coordinator.pid())
	if err != nil {
		return err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := range size {
		under.start(func() {
			took, err := w.login(ctx, i)
			mu.Lock()
			defer mu.Unlock()
			ours.addMillis(took)
			failed = errors.Join(failed, err)
		})
		<-tick.C
	}
	under.wait()
	w.last = time.Now()
	after, err := cpuOf(w.coordinator.pid())
	if err = errors.Join(failed, err); err != nil {
		return err
	}
	each := (after - before - time.Duration(float64(w.idle)*w.length().Seconds())) / time.Duration(size)
	what := fmt.Sprintf("%d sign in within %s, among %d machines", size, w.length(), len(w.agents))
	told := float64(w.traffic.maps.Load()-maps) / float64(size)
	w.bench.results.add(
		row{What: what + ": the coordinator's part of one, p99", Value: ours.at(0.99), Unit: "ms", Gate: atMost(1000), Samples: ours.summary(),
			Note: "four requests, each on a connection of its own, and what the provider takes to answer the coordinator's questions"},
		row{What: what + ": coordinator CPU of one", Value: each.Seconds() * 1000, Unit: "ms"},
		row{What: what + ": messages of one", Value: told, Unit: "", Note: "to the machine and to the servers that it may reach now"},
		row{What: what + ": bytes of each message", Value: float64(w.traffic.mapBytes.Load()-bytes) / float64(size) / told, Unit: "B"},
		row{What: "10,000 people who sign in every 12 hours: coordinator CPU for it", Value: 100 * each.Seconds() * dayRate, Unit: "% of a core"},
	)
	return nil
}

// login signs one person in, and gives how long the coordinator took of it.
func (w *ward) login(ctx context.Context, i int) (took time.Duration, err error) {
	a := w.agents[i]
	timed := func(f func() error) error {
		began := time.Now()
		defer func() { took += time.Since(began) }()
		return f()
	}
	var begun *connect.Response[wire.BeginLoginResponse]
	var away, last string
	browser := idp.NewBrowser(new(net.Dialer).DialContext)
	err = timed(func() (err error) {
		if begun, err = a.client.BeginLogin(ctx, connect.NewRequest(&wire.BeginLoginRequest{})); err == nil {
			away, err = browser.Agree(begun.Msg.Url)
		}
		return err
	})
	if err != nil {
		return took, fmt.Errorf("%s begins: %w", person(i), err)
	}
	if last, err = browser.Prove(away, w.issuer, strings.TrimSuffix(person(i), "@h.example")); err != nil {
		return took, err
	}
	err = timed(func() error {
		if _, _, err := browser.Open(last); err != nil {
			return err
		}
		done, err := a.client.AwaitLogin(ctx, connect.NewRequest(&wire.AwaitLoginRequest{Login: begun.Msg.Login}))
		if err == nil && done.Msg.State != wire.AwaitLoginResponse_DONE {
			err = fmt.Errorf("%s: %s: %s", person(i), done.Msg.State, done.Msg.Reason)
		}
		return err
	})
	return took, err
}

// ends measures what it costs that sessions end, all of the shift's in a row.
func (w *ward) ends(ctx context.Context, _ *group) error {
	span := w.length()
	if err := pauseUntil(ctx, w.last.Add(w.life()-span)); err != nil {
		return err
	}
	spent, err := w.spent(ctx, span)
	if err != nil {
		return err
	}
	each := (spent - time.Duration(float64(w.idle)*span.Seconds())) / time.Duration(w.shiftSize())
	busy := 100 * (w.idle.Seconds() + each.Seconds()*dayRate)
	list, err := w.api.ListSessions(ctx, connect.NewRequest(&admin.ListSessionsRequest{}))
	if err != nil {
		return err
	}
	if left := len(list.Msg.Sessions); left > w.shiftSize()/10 {
		return fmt.Errorf("%d of %d sessions have not ended: nothing was measured", left, w.shiftSize())
	}
	w.bench.results.add(
		row{What: "a session ends by itself: coordinator CPU", Value: each.Seconds() * 1000, Unit: "ms"},
		row{What: fmt.Sprintf("%d machines that follow, sessions that end as those of 10,000 people do: coordinator CPU", len(w.agents)), Value: busy, Unit: "% of a core", Gate: atMost(5)},
	)
	return nil
}

func pauseUntil(ctx context.Context, at time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(at)):
		return nil
	}
}
