package integration

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// Each condition has a port of the record system's. The lives are as short as a slow
// machine lets them be.
const (
	conditionsIdle  = 4 * time.Second
	conditionsProof = 12 * time.Second
	conditionsLife  = 13 * time.Second
)

func conditions(zone string) string {
	return fmt.Sprintf(`{"tagOwners": {"tag:ehr": [], "tag:cart": [], "tag:store": []}, "groups": {"group:nurses": ["idp:Nurses"]},
 "schedules": {"until": {"tz": %[1]q, "weekly": ["daily 00:00-12:00"]}, "from": {"tz": %[1]q, "weekly": ["daily 12:00-24:00"]}}, "grants": [
  {"id": "mfa", "src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:1001"], "when": {"mfa": {"within": %[2]q}}},
  {"id": "amr", "src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:1002"], "when": {"mfa": {"amr": ["pwd"]}}},
  {"id": "session", "src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:1003"], "when": {"session": "login"}},
  {"id": "idle", "src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:1004"], "when": {"idle": %[3]q}},
  {"id": "person-and-device", "src": ["group:nurses"], "srcDevice": ["tag:cart"], "dst": ["tag:ehr"], "ip": ["tcp:1005"]},
  {"id": "schedule", "src": ["tag:cart"], "dst": ["tag:ehr"], "ip": ["tcp:1006"], "when": {"schedule": "until"}},
  {"id": "later", "src": ["tag:cart"], "dst": ["tag:ehr"], "ip": ["tcp:1007"], "when": {"schedule": "from"}},
  {"id": "stronger", "src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:1008"], "when": {"mfa": {"amr": ["hwk"]}}},
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
	flow       *stream
}

// conditional is a mesh in which every condition opens one flow.
type conditional struct {
	*scene
	zones string
	all   []*condition
	rests atomic.Bool // whoever is at the bed does nothing
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
	c.all = []*condition{{name: "idle", from: "bed", port: 1004}, {name: "mfa", from: "ward", port: 1001}, {name: "amr", from: "ward", port: 1002},
		{name: "session", from: "ward", port: 1003}, {name: "person and device", from: "cart", port: 1005}, {name: "schedule", from: "cart", port: 1006}}
	return c
}

func (c *conditional) shut(which ...*condition) {
	c.t.Helper()
	for _, one := range which {
		c.refused(one.from, "tcp", c.at("ehr", one.port)[0], syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EACCES)
	}
}

// begin signs nina in at her machines, and has a flow run by each condition.
func (c *conditional) begin(zone string) *streams {
	c.t.Helper()
	c.rests.Store(false)
	c.setPolicy(conditions(zone))
	told := map[string]local.LoginOutcome{}
	for _, machine := range []string{"ward", "cart", "bed"} {
		if _, told[machine] = c.login(machine, "nina"); told[machine].State != local.LoginDone {
			c.t.Fatalf("signed in at %s: %+v", machine, told[machine])
		}
	}
	c.settle() // who is told of a session is told before the machines obey it
	ctx, cancel := context.WithCancel(c.t.Context())
	f := &streams{cancel: cancel}
	c.t.Cleanup(f.stop)
	for _, one := range c.all {
		c.run(ctx, f, one)
		one.end = told[one.from].Session.Until
		if one.name == "mfa" {
			one.end = told[one.from].Session.At.Add(conditionsProof)
		}
	}
	f.carry(c.t)
	c.shut(&condition{from: "ward", port: 1008}, &condition{from: "cart", port: 1007}, &condition{from: "ward", port: 1005}, &condition{from: "cart", port: 1001})
	return f
}

// run runs a condition's flow: one TCP connection.
func (c *conditional) run(ctx context.Context, f *streams, one *condition) {
	c.t.Helper()
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
	one.flow = f.add("%s, down", one.name)
	f.duplex(ctx, accepted, f.add("%s, up", one.name))
	f.duplexWhile(ctx, dialled, one.flow, func() bool { return one.name != "idle" || !c.rests.Load() })
}

// flows are those from one machine, or from all others.
func (c *conditional) flows(at bool, machine string) *streams {
	f := new(streams)
	for _, one := range c.all {
		if (one.from == machine) == at {
			f.all = append(f.all, one.flow)
		}
	}
	return f
}

// works keeps somebody busy at the bed for longer than they may be idle. Then they go
// away; the screen before them is fed on. It gives when.
func (c *conditional) works(f *streams) time.Time {
	c.t.Helper()
	time.Sleep(conditionsIdle + conditionsIdle/4)
	f.carry(c.t)
	c.rests.Store(true)
	return time.Now()
}

// Whatever a right hangs on, it opens when that is so, and what runs by it is cut
// when it is so no more, at once; and at its time on the nodes themselves, whose
// coordinator is dead.
func TestEveryConditionEndsWhatRunsByIt_A18(t *testing.T) {
	t.Parallel()
	c := raiseConditional(t)
	if c == nil {
		return
	}
	c.shut(c.all...)
	f := c.begin("Ahead")
	var list struct{ Sessions []struct{ ID string } }
	if err := json.Unmarshal([]byte(c.coordinator.Ctl("session", "list", "--json")), &list); err != nil || len(list.Sessions) != 3 {
		t.Fatalf("sessions: %+v, %v", list, err)
	}
	c.coordinator.Ctl("node", "tag", "cart", "tag:store") // it is no cart any more; who sits at it is the same
	taken := c.settle()
	c.flows(true, "cart").ended(t, taken)
	c.flows(false, "cart").carry(t)
	c.shut(&condition{from: "cart", port: 1005})
	c.coordinator.Ctl("node", "tag", "cart", "tag:cart")
	for _, s := range list.Sessions {
		c.coordinator.Ctl("session", "end", s.ID)
	}
	f.ended(t, c.setPolicy(conditions("Past")))
	f.stop()
	c.shut(c.all...)

	noon := time.Now().Truncate(time.Second).Add(conditionsLife)
	noonAt(t, c.zones, "Soon", noon)
	f = c.begin("Soon")
	rests := c.works(f)
	time.Sleep(conditionsIdle * 2 / 5) // in which the machine tells of the last that was done
	c.coordinator.Process.Kill()
	last := noon
	for _, one := range c.all {
		switch one.name {
		case "idle":
			one.end = rests.Add(conditionsIdle)
		case "schedule":
			one.end = noon
		}
		if one.end.After(last) {
			last = one.end
		}
	}
	c.serve("ehr", 1007)
	f.ended(t, last)
	for _, one := range c.all {
		cut := time.Unix(0, one.flow.last.Load())
		t.Logf("%s: cut %s after its end", one.name, cut.Sub(one.end))
		if late := cut.Sub(one.end); late > time.Second || late < -2*time.Second {
			t.Errorf("%s: cut %s after its end", one.name, late)
		}
	}
	f.stop()
	c.shut(c.all...)
	c.served("cart", "tcp", c.at("ehr", 1007)[0]) // the window that begins
}
