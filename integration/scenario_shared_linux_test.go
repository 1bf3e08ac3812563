package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// A nurse and a doctor work at one machine. The record system has a port for each of
// their groups, another a thousand higher for what they leave open, and one for the
// machine; and nurses one more while they do something.
const (
	ninas, bens, machines = 1001, 1002, 1003 // ports
	nina, ben             = 1000, 1001       // accounts
)

func oneMachine() string {
	return fmt.Sprintf(`{"tagOwners": {"tag:ehr": [], "tag:desk": []},
 "groups": {"group:nurses": ["nina@hospital.example"], "group:doctors": ["ben@hospital.example"]}, "grants": [
  {"id": "nurses", "src": ["group:nurses"], "srcDevice": ["tag:desk"], "dst": ["tag:ehr"], "ip": ["tcp:1001", "tcp:2001"]},
  {"id": "doctors", "src": ["group:doctors"], "srcDevice": ["tag:desk"], "dst": ["tag:ehr"], "ip": ["tcp:1002", "tcp:2002"]},
  {"id": "machine", "src": ["tag:desk"], "dst": ["tag:ehr"], "ip": ["tcp:1003"]},
  {"id": "sitting", "src": ["group:nurses"], "srcDevice": ["tag:desk"], "dst": ["tag:ehr"], "ip": ["tcp:1004", "tcp:2004"], "when": {"idle": %q}},
]}`, conditionsIdle)
}

// sharedDesk is a mesh with one machine of several people.
type sharedDesk struct{ *scene }

func raiseShared(t *testing.T, policy string, life time.Duration) *sharedDesk {
	t.Helper()
	if !lab.Require(t) {
		return nil
	}
	d := &sharedDesk{&scene{t: t, programs: lab.Build(t), nodes: map[string]*lab.Daemon{}}}
	d.Lab = lab.Up(t, lab.Segment("hub", "desk", "ehr"))
	hub := d.Host("hub")
	d.serving = append(serveProvider(t, hub, "https://"+netip.AddrPortFrom(hub.Addr4(), 8443).String()), "--session-life", life.String())
	d.found(policy, member{name: "desk", owner: "tag:desk"}, member{name: "ehr", owner: "tag:ehr"})
	if _, err := d.nodes["desk"].TryCLI("", "up", "--shared"); err != nil {
		t.Fatal(err)
	}
	d.serve("ehr", ninas, bens, machines)
	return d
}

// cli runs the user's command line under an account; each calls it with what it
// prints while it runs.
func (d *sharedDesk) cli(uid int, each func(*json.Decoder), args ...string) (text string, err error) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.programs.Path("cordon"), append([]string{"--socket", d.nodes["desk"].Socket()}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = d.Host("desk").As(uid).Start(cmd)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	var all bytes.Buffer
	if each != nil {
		each(json.NewDecoder(out))
	} else if _, err := all.ReadFrom(out); err != nil {
		d.t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		return all.String(), fmt.Errorf("%w: %s", err, errs.String())
	}
	return all.String(), nil
}

// signIn signs somebody in with their account, and gives their session.
func (d *sharedDesk) signIn(uid int, name string) (session local.Session) {
	d.t.Helper()
	_, err := d.cli(uid, func(out *json.Decoder) {
		var l local.Login
		var o local.LoginOutcome
		if err := out.Decode(&l); err != nil {
			d.t.Error(err)
			return
		}
		newBrowser(d.t, d.Host("hub")).signIn(l.URL, name)
		if err := out.Decode(&o); err != nil || o.State != local.LoginDone {
			d.t.Errorf("%s: %+v, %v", name, o, err)
			return
		}
		session = *o.Session
	}, "--json", "login")
	if err != nil {
		d.t.Fatal(err)
	}
	d.settle()
	return session
}

// dial has an account connect to a port of the record system's.
func (d *sharedDesk) dial(uid int, from netip.Addr, port uint16) error {
	ctx, cancel := context.WithTimeout(d.t.Context(), 3*time.Second)
	defer cancel()
	c, err := d.Host("desk").As(uid).Dial(ctx, "tcp", from, d.at("ehr", port)[0])
	if err != nil {
		return err
	}
	return c.Close()
}

// reaches fails the test unless an account reaches these ports of the record system's
// and no other, and learns it at once.
func (d *sharedDesk) reaches(who string, uid int, ports ...uint16) {
	d.t.Helper()
	open := map[uint16]bool{}
	for _, p := range ports {
		open[p] = true
		lab.Eventually(d.t, patience, fmt.Sprintf("%s reaches %d", who, p), func() (bool, string) {
			err := d.dial(uid, netip.Addr{}, p)
			return err == nil, fmt.Sprint(err)
		})
	}
	for _, p := range []uint16{ninas, bens, machines} {
		if open[p] {
			continue
		}
		var late net.Error
		if err := d.dial(uid, netip.Addr{}, p); err == nil || errors.As(err, &late) && late.Timeout() {
			d.t.Errorf("%s at %d: %v, want a refusal at once", who, p, err)
		}
	}
}

// flow is an account's connection to a port of the record system's, under traffic.
func (d *sharedDesk) flow(uid int, port uint16) *streams {
	d.t.Helper()
	f, _ := d.fed(uid, port, new(atomic.Bool))
	return f
}

// At a machine of several people each has what is theirs and nothing of another's, nor
// has the machine; who signs out is cut off, and nobody else is. So it is after a crash.
func TestPeopleAtOneMachineAreApart_A18(t *testing.T) {
	t.Parallel()
	d := raiseShared(t, oneMachine(), noticesSoon)
	if d == nil {
		return
	}
	d.refusesRoot()
	d.reaches("nina before she signs in", nina, machines)
	ninasSeat, bensSeat := d.signIn(nina, "nina"), d.signIn(ben, "ben")
	if len(ninasSeat.Addresses) != 2 || len(bensSeat.Addresses) != 2 || ninasSeat.Account != "1000" || bensSeat.Account != "1001" {
		t.Fatalf("seats: %+v, %+v", ninasSeat, bensSeat)
	}
	d.reaches("nina", nina, ninas, machines)
	d.reaches("ben", ben, bens, machines)
	d.reaches("the machine", 0, machines)
	for _, port := range []uint16{ninas, bens, machines} {
		if err := d.dial(ben, ninasSeat.Addresses[0], port); err == nil {
			t.Errorf("ben reaches %d from nina's address", port)
		}
	}
	if out, err := d.cli(ben, nil, "whoami"); err != nil || !strings.Contains(out, "ben@hospital.example") || strings.Contains(out, "nina") {
		t.Errorf("ben hears of himself %s, %v", out, err)
	}
	d.tellsEachOnTheirDesktop(t)
	d.endsForWhoRests(t)
	hers, his := d.flow(nina, ninas+1000), d.flow(ben, bens+1000)
	if out, err := d.cli(ben, nil, "logout", ninasSeat.ID); err == nil {
		t.Errorf("ben signs nina out: %s", out)
	}
	if _, err := d.cli(nina, nil, "logout"); err != nil {
		t.Fatal(err)
	}
	hers.ended(t, d.settle())
	hers.told(t, true, true)
	his.carry(t)
	d.reaches("nina, signed out", nina, machines)
	if out, err := d.cli(nina, nil, "whoami"); err == nil {
		t.Errorf("nina is still %s", out)
	}
	his.stop()

	d.nodes["desk"].Process.Kill()
	d.nodes["desk"].Start()
	d.reaches("ben, after a crash", ben, bens, machines)
	d.reaches("nina, after a crash", nina, machines)
	d.refusesRoot()
	d.leavesWhileItIsDead()
	if _, err := d.nodes["desk"].TryCLI("", "logout"); err != nil {
		t.Fatal(err)
	}
	d.settle()
	d.reaches("ben, whom root signed out", ben, machines)
}

// refusesRoot fails the test if root can sign in.
func (d *sharedDesk) refusesRoot() {
	d.t.Helper()
	if out, err := d.nodes["desk"].TryCLI("", "login"); err == nil || !strings.Contains(out, "not as root") {
		d.t.Errorf("root signs in: %v: %s", err, out)
	}
}
