package integration

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// Each condition has a port of the record system's. The lives are as short as a slow
// machine lets them be, and far enough apart that each ends while what comes after it runs.
const (
	conditionsIdle  = 4 * time.Second
	conditionsProof = 16 * time.Second
	conditionsLife  = 20 * time.Second
	conditionsAgain = 8 * time.Second // after the first sign-in, nina signs in once more, by less
)

func conditions(zone string) string {
	return fmt.Sprintf(`{"tagOwners": {"tag:ehr": [], "tag:cart": [], "tag:store": []}, "groups": {"group:nurses": ["idp:Nurses"]},
 "schedules": {"until": {"tz": %[1]q, "weekly": ["daily 00:00-12:00"]}, "from": {"tz": %[1]q, "weekly": ["daily 12:00-24:00"]}}, "grants": [
  {"id": "mfa", "src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:1001"], "when": {"mfa": {"within": %[2]q}}},
  {"id": "amr", "src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:1002"], "when": {"mfa": {"amr": ["hwk"]}}},
  {"id": "session", "src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:1003"], "when": {"session": "login"}},
  {"id": "idle", "src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:1004"], "when": {"idle": %[3]q}},
  {"id": "person-and-device", "src": ["group:nurses"], "srcDevice": ["tag:cart"], "dst": ["tag:ehr"], "ip": ["tcp:1005"]},
  {"id": "schedule", "src": ["tag:cart"], "dst": ["tag:ehr"], "ip": ["tcp:1006"], "when": {"schedule": "until"}},
  {"id": "later", "src": ["tag:cart"], "dst": ["tag:ehr"], "ip": ["tcp:1007"], "when": {"schedule": "from"}},
  {"id": "stronger", "src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:1008"], "when": {"mfa": {"amr": ["sc"]}}},
]}`, zone, conditionsProof, conditionsIdle)
}

// noonAt makes a time zone whose clock shows noon at a moment, to the second: the
// windows of a schedule begin and end with minutes.
func noonAt(t *testing.T, zones, name string, at time.Time) {
	t.Helper()
	east := 12*3600 - at.Unix()%86400
	block := func() []byte { // RFC 9636, section 3.1: no transition, one type
		header := append([]byte("TZif2"), make([]byte, 15)...)
		for _, count := range []uint32{0, 0, 0, 0, 1, 4} {
			header = binary.BigEndian.AppendUint32(header, count)
		}
		header = binary.BigEndian.AppendUint32(header, uint32(int32(east)))
		return append(header, 0, 0, 'L', 'A', 'B', 0)
	}
	if err := os.WriteFile(filepath.Join(zones, name), append(append(block(), block()...), "\n\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// condition is one right by a condition, with the flow that runs by it.
type condition struct {
	name, from string
	port       uint16
	end        time.Time
	flow       *streams
	screen     *stream // what of it comes to nina
}

// conditional is a mesh in which every condition opens one flow. They end in this order.
type conditional struct {
	*scene
	zones                                       string
	schedule, device, idle, amr, proof, session *condition
	all                                         []*condition
	rests                                       atomic.Bool // whoever is at the bed does nothing
}

func raiseConditional(t *testing.T) *conditional {
	t.Helper()
	if !lab.Require(t) {
		return nil
	}
	c := &conditional{scene: &scene{t: t, programs: lab.Build(t), nodes: map[string]*lab.Daemon{}}, zones: t.TempDir()}
	top := lab.Segment("hub", "ward", "cart", "bed", "ehr")
	top.Machines[0].Env = []string{"ZONEINFO=" + c.zones}
	c.Lab = lab.Up(t, top)
	hub := c.Host("hub")
	c.serving = append(serveProvider(t, hub, "https://"+netip.AddrPortFrom(hub.Addr4(), 8443).String()), "--session-life", conditionsLife.String())
	noonAt(t, c.zones, "Past", time.Now().Add(-time.Hour))
	noonAt(t, c.zones, "Ahead", time.Now().Add(time.Hour))
	c.found(conditions("Past"), member{name: "ward", owner: "nina@hospital.example"}, member{name: "bed", owner: "nina@hospital.example"},
		member{name: "cart", owner: "tag:cart"}, member{name: "ehr", owner: "tag:ehr"})
	c.schedule, c.device = &condition{name: "schedule", from: "cart", port: 1006}, &condition{name: "person and device", from: "cart", port: 1005}
	c.idle, c.amr = &condition{name: "idle", from: "bed", port: 1004}, &condition{name: "amr", from: "ward", port: 1002}
	c.proof, c.session = &condition{name: "mfa", from: "ward", port: 1001}, &condition{name: "session", from: "ward", port: 1003}
	c.all = []*condition{c.schedule, c.device, c.idle, c.amr, c.proof, c.session}
	return c
}

func (c *conditional) shut(which ...*condition) {
	c.t.Helper()
	for _, one := range which {
		c.refused(one.from, "tcp", c.at("ehr", one.port)[0], syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EACCES)
	}
}

// begin signs nina in at her machines, at the first by a key, and has a flow run by each
// condition. Later she signs in there again by her password alone.
func (c *conditional) begin(zone string) {
	c.t.Helper()
	c.rests.Store(false)
	c.setPolicy(conditions(zone))
	told := map[string]local.LoginOutcome{"ward": c.signedIn("ward", "gold")}
	began := time.Now()
	for _, machine := range []string{"cart", "bed"} {
		told[machine] = c.signedIn(machine, "")
	}
	c.settle() // who is told of a session is told before the machines obey it
	for _, one := range c.all {
		c.run(one)
	}
	c.shut(&condition{from: "ward", port: 1008}, &condition{from: "cart", port: 1007}, &condition{from: "ward", port: 1005}, &condition{from: "cart", port: 1001})
	time.Sleep(time.Until(began.Add(conditionsAgain))) // longer than the one at the bed may be idle
	again := c.signedIn("ward", "")
	c.device.end, c.amr.end = told["cart"].Session.Until, told["ward"].Session.Until
	c.proof.end, c.session.end = again.Session.At.Add(conditionsProof), again.Session.Until
	c.settle()
	c.carry(c.all)
}

// signedIn signs nina in, by a proof of a level.
func (c *conditional) signedIn(machine, level string) local.LoginOutcome {
	c.t.Helper()
	_, told := c.loginAt(newBrowser(c.t, c.Host("hub")), machine, "nina", local.LoginRequest{ACR: level})
	if told.State != local.LoginDone {
		c.t.Fatalf("signed in at %s: %+v", machine, told)
	}
	return told
}

// run runs a condition's flow: one TCP connection.
func (c *conditional) run(one *condition) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	f := &streams{cancel: cancel}
	one.flow = f
	c.t.Cleanup(f.stop)
	at := c.at("ehr", one.port)[0]
	l := c.Host("ehr").Listen(at)
	defer l.Close()
	dialled, err := c.Host(one.from).Dial(ctx, "tcp", at)
	if err != nil {
		c.t.Fatalf("%s: %v", one.name, err)
	}
	accepted, err := l.Accept()
	if err != nil {
		c.t.Fatalf("%s: %v", one.name, err)
	}
	f.duplex(ctx, accepted, f.add("%s, up", one.name))
	one.screen = f.add("%s, down", one.name)
	f.duplexWhile(ctx, dialled, one.screen, func() bool { return one != c.idle || !c.rests.Load() })
}

func (c *conditional) carry(which []*condition) {
	c.t.Helper()
	for _, one := range which {
		one.flow.carries(c.t, one.screen)
	}
}

// cuts fails the test unless what runs by a condition ends at a moment, and what runs by
// those after it goes on.
func (c *conditional) cuts(one *condition, since time.Time) {
	c.t.Helper()
	one.flow.ended(c.t, since)
	one.flow.stop()
	c.carry(c.all[slices.Index(c.all, one)+1:])
	c.shut(one)
}

// leaves has whoever is at the bed go away; the screen before them is fed on. It gives
// when.
func (c *conditional) leaves() time.Time {
	c.rests.Store(true)
	return time.Now()
}

// Whatever a right hangs on, it opens when that is so, and what runs by it is cut
// when it is so no more, at once, and nothing else is; and at its time on the nodes
// themselves, whose coordinator is dead.
func TestEveryConditionEndsWhatRunsByIt_A18(t *testing.T) {
	t.Parallel()
	c := raiseConditional(t)
	if c == nil {
		return
	}
	c.shut(c.all...)
	c.begin("Ahead")
	c.cuts(c.schedule, c.setPolicy(conditions("Past")))
	left := c.leaves()                                    // after one cut and before the next: on a slow machine both take longer than one may be idle
	c.coordinator.Ctl("node", "tag", "cart", "tag:store") // it is no cart any more; who sits at it is the same
	c.cuts(c.device, c.settle())
	c.cuts(c.idle, left.Add(conditionsIdle))
	c.cuts(c.amr, c.amr.end)
	c.cuts(c.proof, c.proof.end)
	c.endSessions()
	c.cuts(c.session, c.settle())
	c.coordinator.Ctl("node", "tag", "cart", "tag:cart")

	noon := time.Now().Truncate(time.Second).Add(conditionsLife)
	noonAt(t, c.zones, "Soon", noon)
	c.begin("Soon")
	c.schedule.end, c.idle.end = noon, c.leaves().Add(conditionsIdle)
	time.Sleep(conditionsIdle * 2 / 5) // in which the machine tells of the last that was done
	c.coordinator.Process.Kill()
	c.serve("ehr", 1007)
	time.Sleep(time.Until(c.session.end.Add(time.Second + quiet)))
	for _, one := range c.all {
		for _, s := range one.flow.all {
			late := time.Unix(0, s.last.Load()).Sub(one.end)
			t.Logf("%s: cut %s after its end", s.name, late)
			if late > time.Second || s == one.screen && late < -2*time.Second {
				t.Errorf("%s: cut %s after its end", s.name, late)
			}
		}
		one.flow.stop()
	}
	c.shut(c.all...)
	c.served("cart", "tcp", c.at("ehr", 1007)[0]) // the window that begins
}

// endSessions has an admin end every session.
func (c *conditional) endSessions() {
	c.t.Helper()
	var list struct{ Sessions []struct{ ID string } }
	if err := json.Unmarshal([]byte(c.coordinator.Ctl("session", "list", "--json")), &list); err != nil || len(list.Sessions) == 0 {
		c.t.Fatalf("sessions: %+v, %v", list, err)
	}
	for _, s := range list.Sessions {
		c.coordinator.Ctl("session", "end", s.ID)
	}
}
