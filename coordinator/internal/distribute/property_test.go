package distribute_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// policies differ in who sees whom, in rules alone, and (the last two) in a comment.
func policies() []string {
	const owners = `"tagOwners": {"tag:a": [], "tag:b": [], "tag:c": []}`
	return []string{
		`{` + owners + `}`,
		`{` + owners + `, "acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}`,
		`{` + owners + `, "acls": [{"action": "accept", "src": ["tag:a"], "dst": ["tag:b:22"]}, {"action": "accept", "src": ["tag:b"], "dst": ["tag:c:80"]}]}`,
		`{` + owners + `, "acls": [{"action": "accept", "src": ["tag:a"], "dst": ["tag:b:22,23"]}, {"action": "accept", "src": ["ana@clinic.example"], "dst": ["10.0.0.0/8:443"]}]}`,
		`{` + owners + `, "acls": [{"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self:*"]}]}`,
		`{` + owners + `, "acls": [{"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self:*"]}]} // the same` + "\n",
		`{` + owners + `, "schedules": {"day": {"tz": "UTC", "weekly": ["daily 08:00-20:00"]}}, "oncall": {"icu": {"ics": "icu.ics"}}, "grants": [
  {"src": ["ana@clinic.example"], "dst": ["tag:b"], "ip": ["443"], "when": {"oncall": "icu"}},
  {"src": ["tag:a"], "dst": ["tag:b"], "ip": ["22"], "when": {"schedule": "day", "risk": "<50"}}],
 "forbid": [{"src": ["tag:b"], "dst": ["tag:c"]}]}`,
		`{` + owners + `, "groups": {"group:nurses": ["idp:Nurses"]}, "grants": [
  {"src": ["group:nurses"], "dst": ["tag:b"], "ip": ["80"]},
  {"src": ["group:nurses", "ben@clinic.example"], "srcDevice": ["tag:a"], "dst": ["tag:c"], "ip": ["443"]},
  {"src": ["autogroup:member", "tag:a"], "dst": ["tag:b"], "ip": ["22"], "when": {"mfa": {"within": "8h", "amr": ["otp"]}}},
  {"src": ["autogroup:member"], "dst": ["tag:c"], "ip": ["22"], "when": {"session": "login", "idle": "10m"}}]}`,
		`{` + owners + `, "grants": [
  {"src": ["autogroup:owner"], "dst": ["tag:a"], "ip": ["22"]}, {"src": ["autogroup:admin", "tag:a"], "dst": ["tag:b"], "ip": ["80"]},
  {"src": ["autogroup:it-admin"], "srcDevice": ["tag:a"], "dst": ["tag:c"], "ip": ["443"]}, {"src": ["tag:b"], "dst": ["autogroup:it-admin"], "ip": ["5900"]}]}`,
	}
}

// drama is a mesh to which anything happens.
type drama struct {
	*rapid.T
	w       *world
	nodes   []*node
	removed []*node
}

// TestAnyHistory: whatever happens, in whatever order, fast or slow, connected or
// not: every map that a node was given is the one that a fresh compilation gives
// for its revision, and when all is quiet it is that of the present state.
func TestAnyHistory(t *testing.T) {
	played := 0
	rapid.Check(t, func(rt *rapid.T) {
		if played++; played > histories {
			return
		}
		inBubble(t, func() {
			d := &drama{T: rt, w: begin(rt)}
			defer d.end()
			d.w.policy(policies()[1])
			for range 3 {
				d.enrol()
			}
			for range rapid.IntRange(1, 30).Draw(rt, "steps") {
				d.step()
				if rapid.IntRange(0, 2).Draw(rt, "pause") > 0 {
					d.pause()
				}
			}
			d.calm()
		})
	})
}

// inBubble runs f in a bubble of its own. Rapid stays outside: by the time within,
// in which days pass, it would be out of time after a few histories.
func inBubble(t *testing.T, f func()) {
	var failed any
	synctest.Test(t, func(*testing.T) {
		defer func() { failed = recover() }()
		f()
	})
	if failed != nil {
		panic(failed) // how rapid's T says that it failed
	}
}

func (d *drama) end() {
	for _, n := range append(d.nodes, d.removed...) {
		n.disconnect()
	}
	d.w.stop()
}

func (d *drama) pause() {
	time.Sleep(time.Duration(rapid.IntRange(1, 3000).Draw(d.T, "ms")) * time.Millisecond)
	synctest.Wait()
}

func (d *drama) step() {
	steps := []func(){d.enrol, d.enrolPending, d.remove, d.tag, d.rekey, d.route, d.edit, d.edit, d.connect, d.connect, d.connect,
		d.disconnect, d.stall, d.resume, d.forget, d.lie, d.report, d.incarnation, d.newMapKey, d.burst, d.twin, d.observe, d.signIn, d.signIn, d.work, d.signOut, d.shutOut, d.require, d.role, d.role}
	steps[rapid.IntRange(0, len(steps)-1).Draw(d.T, "step")]()
}

func (d *drama) some() *node {
	if len(d.nodes) == 0 {
		d.enrol()
	}
	return d.nodes[rapid.IntRange(0, len(d.nodes)-1).Draw(d.T, "node")]
}

func (d *drama) tags() []string {
	return rapid.SampledFrom([][]string{nil, {"tag:a"}, {"tag:b"}, {"tag:c"}, {"tag:a", "tag:b"}}).Draw(d.T, "tags")
}

func (d *drama) enrol() {
	if len(d.nodes) < 8 {
		d.nodes = append(d.nodes, d.w.enrol(d.tags()...))
	}
}

// enrolPending makes a node that waits, or approves one that does.
func (d *drama) enrolPending() {
	for _, n := range d.nodes {
		if known, _ := d.w.registry.Snapshot().Node(n.id); !known.Approved {
			d.w.do(registry.ApproveNode{Node: n.id})
			return
		}
	}
	if u, known := d.w.registry.Snapshot().UserByLogin("ben@clinic.example"); known && u.Disabled {
		return
	}
	n := newNode(d.w)
	id := fmt.Sprint("t-", d.w.registry.Snapshot().Revision)
	d.w.do(registry.CreateToken{ID: id, Secret: registry.HashSecret(id), Kind: registry.EnrolToken, User: "ben@clinic.example", NeedsApproval: true})
	c := n.enrolment()
	c.Secret = registry.HashSecret(id)
	d.w.do(c)
	d.nodes = append(d.nodes, n)
	n.connect()
}

func (d *drama) remove() {
	n := d.some()
	d.w.do(registry.RemoveNode{Node: n.id})
	d.nodes = slices.DeleteFunc(d.nodes, func(m *node) bool { return m == n })
	d.removed = append(d.removed, n)
}

// observe changes who is on duty, or lets a day pass by.
func (d *drama) observe() {
	if rapid.IntRange(0, 3).Draw(d.T, "a day passes") == 0 {
		for _, n := range append(slices.Clone(d.nodes), d.removed...) {
			n.resume() // what waits for a day is signed by a key that ended
		}
		rest()
		d.w.day()
	}
	duty := map[string]map[string]time.Time{"icu": {}}
	for _, login := range rapid.SampledFrom([][]string{nil, {"ana@clinic.example"}, {"ana@clinic.example", "ben@clinic.example"}}).Draw(d.T, "on duty") {
		duty["icu"][login] = time.Now().Add(time.Duration(rapid.IntRange(1, 3).Draw(d.T, "hours")) * time.Hour).UTC().Truncate(time.Second)
	}
	d.w.do(registry.Observe{Duty: duty})
}

// signIn has somebody sign in at a node, or try to.
func (d *drama) signIn() {
	login := rapid.SampledFrom([]string{"ana@clinic.example", "ben@clinic.example", "ana.b@clinic.example"}).Draw(d.T, "who")
	subject := login[:3] // who is called otherwise now stays who she was
	groups := rapid.SampledFrom([][]string{nil, {"Nurses"}}).Draw(d.T, "groups")
	amr := rapid.SampledFrom([][]string{{"pwd"}, {"otp", "pwd"}}).Draw(d.T, "amr")
	seat := rapid.SampledFrom([]string{"", "", "1000", "1001"}).Draw(d.T, "seat")                                        // refused at a person's machine
	d.w.try(registry.BeginSession{ID: fmt.Sprint("s-", d.w.registry.Snapshot().Revision), Node: d.some().id, Seat: seat, // refused at another's machine
		Who:  registry.Identity{Issuer: "https://id.example", Subject: subject, Login: login, Groups: groups, AMR: amr, At: time.Now().Add(-time.Minute)},
		Life: time.Duration(rapid.IntRange(1, 12).Draw(d.T, "life")) * time.Hour})
}

// work has people do something at some of the nodes, or nodes say so.
func (d *drama) work() {
	ago := time.Duration(rapid.IntRange(-100, 1000).Draw(d.T, "seconds ago")) * time.Second
	pause := time.Duration(rapid.SampledFrom([]int{0, 1, 9, 11}).Draw(d.T, "minutes without")) * time.Minute
	d.w.do(registry.NoteActive{Of: map[registry.Sitting]registry.Activity{d.sitting(): {At: time.Now().Add(-ago), Pause: pause}, d.sitting(): {At: time.Now()}}})
}

// sitting names a machine, or a session.
func (d *drama) sitting() registry.Sitting {
	if all := d.w.registry.Snapshot().SortedSessions(); len(all) > 0 && rapid.Bool().Draw(d.T, "by session") {
		one := all[rapid.IntRange(0, len(all)-1).Draw(d.T, "session")]
		return registry.Sitting{Node: one.Node, Session: one.ID}
	}
	return registry.Sitting{Node: d.some().id}
}

func (d *drama) signOut() { d.w.do(registry.EndSessions{Node: d.some().id}) }

func (d *drama) shutOut() {
	if rapid.Bool().Draw(d.T, "out") {
		d.w.do(registry.DisableUser{User: "ben@clinic.example"})
	} else {
		d.w.try(registry.EnableUser{User: "ben@clinic.example"}) // refused before it was known
	}
}

// role gives or takes a role, or tries to.
func (d *drama) role() {
	role := rapid.SampledFrom([]string{"owner", "device-admin"}).Draw(d.T, "role")
	if rapid.Bool().Draw(d.T, "given") {
		d.w.try(registry.GrantRole{User: "ana@clinic.example", Role: role}) // refused before she was known
	} else {
		d.w.try(registry.RevokeRole{User: "ana@clinic.example", Role: role})
	}
}

func (d *drama) require() {
	d.w.do(registry.RequireSignIn{Required: rapid.Bool().Draw(d.T, "required")})
}

func (d *drama) tag()   { d.w.do(registry.TagNode{Node: d.some().id, Tags: d.tags()}) }
func (d *drama) rekey() { d.some().rekey() }

// route lets a node carry a prefix that others may carry too, or takes it back.
func (d *drama) route() {
	n := d.some()
	p := netip.MustParsePrefix(rapid.SampledFrom([]string{"10.0.0.0/8", "10.1.0.0/16", "192.168.7.0/24"}).Draw(d.T, "route"))
	withdraw := rapid.Bool().Draw(d.T, "withdraw")
	if !withdraw {
		d.w.do(registry.Report{Node: n.id, Advertised: []netip.Prefix{p}, OS: "linux", Version: "1"})
	}
	d.w.try(registry.ApproveRoute{Node: n.id, Prefix: p, Withdraw: withdraw}) // refused if there is none
}

func (d *drama) edit() { d.w.policy(rapid.SampledFrom(policies()).Draw(d.T, "policy")) }

// burst is several changes of which nobody can see each one alone.
func (d *drama) burst() {
	for range rapid.IntRange(2, 6).Draw(d.T, "burst") {
		[]func(){d.enrol, d.remove, d.tag, d.rekey, d.edit}[rapid.IntRange(0, 4).Draw(d.T, "part")]()
	}
}

func (d *drama) connect() {
	n := d.some()
	n.disconnect()
	n.old = rapid.IntRange(0, 3).Draw(d.T, "an older build") == 0
	n.connect()
}

func (d *drama) disconnect() { d.some().disconnect() }
func (d *drama) stall()      { d.some().stall() }
func (d *drama) resume()     { d.some().resume() }

// forget is a node that lost its disk.
func (d *drama) forget() {
	n := d.some()
	n.disconnect()
	n.mu.Lock()
	n.state = wire.State{}
	n.mu.Unlock()
	n.connect()
}

// lie is a node that says that it stands elsewhere than it does.
func (d *drama) lie() {
	n := d.some()
	n.disconnect()
	j := n.standing()
	switch rapid.IntRange(0, 2).Draw(d.T, "lie") {
	case 0:
		j.Digest[0]++
	case 1:
		j.Position.Revision--
		j.Digest[0]++
	case 2:
		j.Position = wire.Position{}
	}
	n.connectAs(j)
}

// twin is a second connection of the same node while the first one stands.
func (d *drama) twin() {
	n := d.some()
	if n.session == nil {
		return
	}
	old := n.session
	n.resume()
	synctest.Wait()
	n.connect()
	<-old.ended
}

func (d *drama) report() {
	at := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), uint16(rapid.IntRange(1, 9).Draw(d.T, "port")))
	d.w.hub.Report(context.Background(), d.some().id, []netip.AddrPort{at}, "")
}

func (d *drama) incarnation() { d.w.do(registry.BeginIncarnation{Reason: "test"}) }
func (d *drama) newMapKey()   { d.w.renew() }

// calm lets everything come to rest, with every node connected, and looks.
func (d *drama) calm() {
	for _, n := range append(slices.Clone(d.nodes), d.removed...) {
		n.resume()
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	for _, n := range d.nodes {
		if n.session == nil {
			n.connect()
		}
	}
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	for _, n := range d.nodes {
		if wrong := n.settled(); wrong != "" {
			d.Errorf("%s, when all is quiet: %s", n.id, wrong)
		}
		select {
		case <-n.session.ended:
			d.Errorf("%s lost its stream: %v", n.id, n.session.err)
		default:
		}
		n.mu.Lock()
		if age := time.Since(n.state.Lease.Time); age > time.Minute {
			d.Errorf("%s has a lease that is %v old", n.id, age)
		}
		n.mu.Unlock()
	}
	present, err := d.w.hub.Present(context.Background())
	if err != nil {
		d.Fatal(err)
	}
	for _, n := range d.removed {
		if _, known := present[n.id]; known {
			d.Errorf("%s was removed, and is still known", n.id)
		}
		if n.session != nil {
			<-n.session.ended
		}
	}
	if bad := d.w.log.count("ERROR"); bad > 0 {
		d.Errorf("errors were logged: %v", d.w.log.lines)
	}
}
