package registry_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// ward joins a machine that nobody owns.
func (m *mesh) ward(name string) *registry.Node {
	m.t.Helper()
	_, n := m.join(name, registry.CreateToken{Tags: []string{"tag:ward"}})
	return n
}

func sits(id string, n *registry.Node, seat string, who registry.Identity) registry.BeginSession {
	return registry.BeginSession{ID: id, Node: n.ID, Seat: seat, Who: who, Life: shift}
}

// sit signs somebody in at a seat.
func (m *mesh) sit(id string, n *registry.Node, seat, login string) *registry.Session {
	m.t.Helper()
	who := person(login)
	who.At = m.now
	return m.do(sits(id, n, seat, who)).Session
}

// at gives the ids of the sessions at a node.
func (m *mesh) at(n *registry.Node) (ids []string) {
	for _, s := range m.state.SessionsAt(n.ID) {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestSeatHasAddressesOfItsOwn(t *testing.T) {
	m := begin(t)
	n := m.ward("ward")
	ana, ben := m.sit("s1", n, "1000", "ana@clinic.example"), m.sit("s2", n, "1001", "ben@clinic.example")
	seen := slices.Clone(n.Addresses)
	for _, s := range []*registry.Session{ana, ben} {
		if len(s.Addresses) != 2 || !m.state.IPv4.Range.Contains(s.Addresses[0]) || !m.state.IPv6.Range.Contains(s.Addresses[1]) {
			t.Fatalf("%s has the addresses %v", s.ID, s.Addresses)
		}
		for _, a := range s.Addresses {
			if slices.Contains(seen, a) {
				t.Errorf("%v is another's too", a)
			}
			seen = append(seen, a)
		}
	}
	if w := ana.Wire(); w.Seat != "1000" {
		t.Errorf("the node is told %+v", w)
	}
	if said := m.last.Records[len(m.last.Records)-1].Detail; !strings.Contains(said, "seat 1001, addresses ["+ben.Addresses[0].String()) {
		t.Errorf("the audit says %q", said)
	}
	_, next := m.join("other", registry.CreateToken{})
	if slices.Contains(seen, next.Addresses[0]) || slices.Contains(seen, next.Addresses[1]) {
		t.Errorf("a node has a seat's address: %v", next.Addresses)
	}
}

// Who sits where goes on, moves or makes way as docs/SIGN-IN.md says.
func TestWhoMakesWayAtASeat_A19(t *testing.T) {
	m := begin(t)
	n := m.ward("ward")
	first := m.sit("s1", n, "1000", "ana@clinic.example")
	m.sit("s2", n, "1001", "ben@clinic.example")
	again := m.sit("s3", n, "1000", "ana@clinic.example")
	if again.ID != "s1" || !slices.Equal(again.Addresses, first.Addresses) || len(again.Logins) != 2 || !slices.Equal(m.at(n), []string{"s1", "s2"}) {
		t.Errorf("a new proof at the same seat made %+v of %+v, and there are %v", again, first, m.at(n))
	}
	if cem := m.sit("s4", n, "1000", "cem@clinic.example"); !slices.Equal(m.at(n), []string{"s2", "s4"}) || slices.Equal(cem.Addresses, first.Addresses) {
		t.Errorf("somebody else at the seat: %v, at ana's address: %v", m.at(n), cem.Addresses)
	}
	if m.sit("s5", n, "1002", "cem@clinic.example"); !slices.Equal(m.at(n), []string{"s2", "s4", "s5"}) {
		t.Errorf("the same person at a second seat: %v", m.at(n))
	}
	if m.signIn("s6", n, person("ben@clinic.example")); !slices.Equal(m.at(n), []string{"s6"}) {
		t.Errorf("a sign-in at the whole machine leaves %v", m.at(n))
	}
	if m.sit("s7", n, "1001", "ben@clinic.example"); !slices.Equal(m.at(n), []string{"s7"}) {
		t.Errorf("a session of the whole machine stands beside a seat: %v", m.at(n))
	}
	m.signIn("s8", n, person("ana@clinic.example"))
	if m.sit("s9", n, "1001", "ben@clinic.example"); !slices.Equal(m.at(n), []string{"s9"}) {
		t.Errorf("somebody's session of the whole machine stands beside a seat: %v", m.at(n))
	}
	m.now = m.now.Add(shift)
	if m.sit("t1", n, "1000", "ana@clinic.example"); !slices.Equal(m.at(n), []string{"t1"}) {
		t.Errorf("a seat whose time was over is kept: %v", m.at(n))
	}
}

// What is open of whose time is over may drain, and is cut off with their seat. So it
// makes way when nothing does any more, to whoever sits down there, or where its room is
// needed: then who is over for longest goes first.
func TestSeatWhoseTimeIsOverStaysWhileAnythingDrains(t *testing.T) {
	m := begin(t)
	m.do(registry.SetPolicy{File: "p", Text: `{"grants": [
  {"id": "slow", "src": ["*"], "dst": ["*"], "ip": ["*"], "onExpiry": "drain 1h"}, {"id": "cut", "src": ["*"], "dst": ["*"], "ip": ["*"]}]}`})
	n := m.ward("ward")
	over := m.sit("s1", n, "1000", "ana@clinic.example")
	m.now = m.now.Add(shift + time.Hour - time.Second)
	if m.sit("s2", n, "1001", "ben@clinic.example"); !slices.Equal(m.at(n), []string{"s1", "s2"}) {
		t.Fatalf("while it drains: %v", m.at(n))
	}
	if at := m.state.SessionsAt(n.ID)[0]; !slices.Equal(at.Addresses, over.Addresses) || !at.Until.Equal(over.Until) {
		t.Errorf("%+v became %+v", over, at)
	}
	m.now = m.now.Add(time.Second)
	if m.sit("s3", n, "1002", "cem@clinic.example"); !slices.Equal(m.at(n), []string{"s2", "s3"}) {
		t.Errorf("nothing drains any more: %v", m.at(n))
	}
	m.now = m.now.Add(shift)
	if m.sit("z4", n, "1002", "dee@clinic.example"); !slices.Equal(m.at(n), []string{"s2", "z4"}) {
		t.Errorf("somebody else at a seat whose time is over: %v", m.at(n))
	}
	m.now = m.now.Add(time.Second)
	m.sit("s5", n, "1003", "eve@clinic.example")
	m.now = m.now.Add(shift + time.Minute)
	for i := range registry.MaxSeats - 2 {
		m.sit(fmt.Sprint("t", i), n, fmt.Sprint(2000+i), fmt.Sprintf("p%d@clinic.example", i))
	}
	if now := m.at(n); !slices.Contains(now, "z4") || len(now) != registry.MaxSeats {
		t.Fatalf("taken are %v", now)
	}
	if m.sit("t0", n, "2000", "p0@clinic.example"); !slices.Contains(m.at(n), "z4") {
		t.Error("who goes on took somebody's room")
	}
	m.sit("more", n, "5000", "fay@clinic.example")
	if now := m.at(n); slices.Contains(now, "z4") || !slices.Contains(now, "s5") || len(now) != registry.MaxSeats {
		t.Errorf("one more than there is room for: %v", now)
	}
	m.sit("one-more", n, "5001", "flo@clinic.example")
	m.refused(sits("too-many", n, "5002", person("gil@clinic.example")), registry.ErrUser)
}

// Who comes back to their seat while what they have open drains has it all back: a node
// tells whose a flow at a seat is by the session. Nothing else of it goes on.
func TestWhoComesBackToTheirSeatWhileItDrains(t *testing.T) {
	m := begin(t)
	m.do(registry.SetPolicy{File: "p", Text: `{"grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"], "onExpiry": "drain 1h"}]}`})
	n := m.ward("ward")
	was := m.sit("s1", n, "1000", "ana@clinic.example")
	m.now = was.Until.Add(time.Hour - time.Second)
	back := m.sit("s2", n, "1000", "ana@clinic.example")
	if back.ID != "s1" || !slices.Equal(back.Addresses, was.Addresses) || !back.Begun.Equal(m.now) || len(back.Logins) != 1 || !slices.Equal(m.at(n), []string{"s1"}) {
		t.Errorf("while it drained: %+v", back)
	}
	m.now = back.Until.Add(time.Hour)
	if late := m.sit("s3", n, "1000", "ana@clinic.example"); late.ID != "s3" {
		t.Errorf("when nothing drained any more: %+v", late)
	}
	m.do(registry.EndSessions{ID: "s3"})
	if out := m.sit("s4", n, "1000", "ana@clinic.example"); out.ID != "s4" {
		t.Errorf("who signed out: %+v", out)
	}
}

func TestSeatIsRefused(t *testing.T) {
	m := begin(t)
	_, laptop := m.join("laptop", registry.CreateToken{})
	n := m.ward("ward")
	for _, seat := range []string{"0", "ana", "-1", "+1000", "01000", "1000 ", "4294967295", "4294967296", "99999999999999999999", "１０００"} {
		m.refused(sits("s1", n, seat, person("ana@clinic.example")), registry.ErrInvalid)
	}
	m.refused(sits("s1", laptop, "1000", person("ana@clinic.example")), registry.ErrUser)
	if err := m.refused(sits("s1", n, "0", person("ana@clinic.example")), registry.ErrInvalid); !strings.Contains(err.Error(), "account of your own") {
		t.Errorf("root is told %v", err)
	}
	box := newMachine()
	join := registry.Join{Machine: registry.Machine{Key: box.node.Public(), Name: "pc", Statement: box.statement(1), OS: "linux", Version: "1"},
		Session: registry.BeginSession{ID: "j1", Seat: "1000", Who: person("ana@clinic.example"), Life: shift}}
	join.Session.Node = box.id()
	m.refused(join, registry.ErrUser)
}

func TestSeatsOfAMachineAreBounded(t *testing.T) {
	m := begin(t)
	n, other := m.ward("ward"), m.ward("other")
	for i := range registry.MaxSeats {
		m.sit(fmt.Sprint("s", i), n, fmt.Sprint(1000+i), fmt.Sprintf("p%d@clinic.example", i))
	}
	err := m.refused(sits("more", n, "5000", person("ana@clinic.example")), registry.ErrUser)
	if !strings.Contains(err.Error(), "at most 64") {
		t.Errorf("refused with %v", err)
	}
	m.sit("elsewhere", other, "5000", "ana@clinic.example")
	m.sit("instead", n, "1000", "ana@clinic.example")
	m.do(registry.EndSessions{ID: "instead"})
	m.sit("more", n, "5000", "cem@clinic.example")
}

// Who has the use of many accounts of a machine leaves seats to others there.
func TestSeatsOfAPersonAreBounded_A06(t *testing.T) {
	m := begin(t)
	n, other := m.ward("ward"), m.ward("other")
	m.sit("ben", n, "1001", "ben@clinic.example")
	m.sit("far", other, "1000", "ana@clinic.example")
	for i := range registry.MaxOwnSeats {
		m.now = m.now.Add(time.Minute)
		m.sit(fmt.Sprint("s", i), n, fmt.Sprint(100000+i), "ana@clinic.example")
	}
	next := m.state.IPv4.Next
	m.now = m.now.Add(time.Minute)
	m.sit("again", n, "100000", "ana@clinic.example") // the session s0 goes on
	if !slices.Equal(m.at(n), []string{"ben", "s0", "s1", "s2", "s3"}) {
		t.Fatalf("signed in are %v", m.at(n))
	}
	for i := range registry.MaxSeats {
		m.sit(fmt.Sprint("t", i), n, fmt.Sprint(200000+i), "ana@clinic.example")
		if i == 0 && !slices.Equal(m.at(n), []string{"ben", "s0", "s2", "s3", "t0"}) {
			t.Errorf("one seat more made way of what was proved longest ago, and left %v", m.at(n))
		}
	}
	if len(m.at(n)) != 1+registry.MaxOwnSeats || len(m.at(other)) != 1 || m.state.IPv4.Next != next {
		t.Errorf("signed in are %v and %v, by %v", m.at(n), m.at(other), m.state.IPv4.Next)
	}
	if said := m.last.Records[0]; said.Action != "session.end" || !strings.Contains(said.Detail, "more than 4 seats") {
		t.Errorf("the audit says %+v", said)
	}
}

// A peer that hears nothing from the coordinator takes an address for whoever it was
// told of, as long as what it was told holds: nobody else has it before that.
func TestAddressOfASeatRests_A15(t *testing.T) {
	m := begin(t)
	n, other := m.ward("ward"), m.ward("other")
	was := m.sit("s1", n, "1000", "ana@clinic.example")
	m.do(registry.EndSessions{ID: "s1"})
	if ben := m.sit("s2", n, "1000", "ben@clinic.example"); slices.Equal(ben.Addresses, was.Addresses) {
		t.Error("somebody else has the address at once")
	}
	if again := m.sit("s3", n, "1001", "ana@clinic.example"); !slices.Equal(again.Addresses, was.Addresses) {
		t.Errorf("who comes back has %v, had %v: the range empties with each sign-in", again.Addresses, was.Addresses)
	}
	m.do(registry.EndSessions{ID: "s3"})
	m.now = noon.Add(shift - time.Second)
	if cem := m.sit("s4", n, "1002", "cem@clinic.example"); slices.Equal(cem.Addresses, was.Addresses) {
		t.Error("somebody else has the address while the login may be believed")
	}
	m.now = noon.Add(shift + time.Minute - time.Second)
	if eve := m.sit("s4", n, "1002", "eve@clinic.example"); slices.Equal(eve.Addresses, was.Addresses) {
		t.Error("somebody else has the address while a clock that is behind may believe the login")
	}
	m.now = noon.Add(shift + time.Minute)
	if far := m.sit("s5", other, "1000", "dan@clinic.example"); slices.Equal(far.Addresses, was.Addresses) {
		t.Error("a seat at another machine has the address")
	}
	next := m.state.IPv4.Next
	if dan := m.sit("s6", n, "1003", "dan@clinic.example"); !slices.Equal(dan.Addresses, was.Addresses) || m.state.IPv4.Next != next {
		t.Errorf("rested, and not given again: %v", dan.Addresses)
	}
}

// Who signs in again for less is taken for themselves as long as they were before.
func TestShortSessionAfterALongOne_A15(t *testing.T) {
	m := begin(t)
	n := m.ward("ward")
	for i, life := range []time.Duration{10 * shift, time.Minute, time.Minute} {
		c := sits(fmt.Sprint("s", i), n, "1000", person("ana@clinic.example"))
		c.Life = life
		m.do(c)
		if i < 2 { // the last goes on with one that was over, which nobody ended
			m.do(registry.EndSessions{ID: c.ID})
		}
		m.now = m.now.Add(time.Hour)
	}
	c := sits("s3", n, "1000", person("ana@clinic.example"))
	m.do(c)
	m.do(registry.EndSessions{ID: "s3"})
	if all := m.state.SortedRests(); len(all) != 1 || !all[0].Until.Equal(noon.Add(10*shift)) {
		t.Errorf("rests are %+v", all)
	}
}

// However a session ends, its addresses rest at the machine; with the machine they go.
func TestEndsOfASeat(t *testing.T) {
	m := begin(t)
	n := m.ward("ward")
	rests := func(why string, s *registry.Session) {
		t.Helper()
		all := m.state.SortedRests()
		if len(m.state.SessionsAt(n.ID)) != 0 || len(all) != 1 || !slices.Equal(all[0].Addresses, s.Addresses) || all[0].User != s.User {
			t.Errorf("%s: %v are at the machine, %+v rest", why, m.at(n), all)
		}
	}
	s := m.sit("s1", n, "1000", "ana@clinic.example")
	m.do(registry.EndSessions{ID: "s1", Node: n.ID})
	rests("signed out", s)
	s = m.sit("s2", n, "1000", "ana@clinic.example")
	if len(m.state.SortedRests()) != 0 {
		t.Error("an address rests that somebody has")
	}
	m.do(registry.DisableUser{User: "ana@clinic.example"})
	rests("disabled", s)
	m.do(registry.EnableUser{User: "ana@clinic.example"})
	s = m.sit("s3", n, "1000", "ana@clinic.example")
	m.do(registry.ForgetUser{User: "ana@clinic.example"})
	rests("forgotten", s)
	m.sit("s4", n, "1000", "ben@clinic.example")
	m.do(registry.RemoveNode{Node: n.ID})
	if len(m.state.SortedRests()) != 0 || len(m.state.SortedSessions()) != 0 {
		t.Errorf("the machine is gone, and %v rest", m.state.SortedRests())
	}
}

// Whose machine it becomes, theirs alone it is.
func TestSeatsEndWhereAMachineGetsAnOwner(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	m.do(registry.TagNode{Node: n.ID, Tags: []string{"tag:ward"}})
	m.sit("s1", n, "1000", "ben@clinic.example")
	m.do(registry.TagNode{Node: n.ID})
	if len(m.at(n)) != 0 || len(m.state.SortedRests()) != 1 {
		t.Errorf("at ana's machine are %v", m.at(n))
	}
}

// A restored state does not know who had an address since the backup was made.
func TestRestoredSeatsRestForLong(t *testing.T) {
	m := begin(t)
	n := m.ward("ward")
	over, rested := m.sit("s1", n, "1000", "ana@clinic.example"), m.sit("s2", n, "1001", "ben@clinic.example")
	m.do(registry.EndSessions{ID: "s2"})
	m.now = noon.Add(time.Hour)
	live := m.sit("s3", n, "1002", "dan@clinic.example") // of whom the backup knows
	m.now = noon.Add(shift)
	m.do(registry.BeginIncarnation{Reason: "restored"})
	if again := m.sit("s4", n, "1002", "dan@clinic.example"); again.ID != live.ID || !slices.Equal(again.Addresses, live.Addresses) {
		t.Errorf("who was signed in has %+v", again)
	}
	for _, day := range []int{0, 29, 30} {
		m.now = noon.Add(shift + time.Duration(day)*24*time.Hour + time.Minute)
		var given []netip.Addr
		for i := range 3 + 9*(day/30) {
			who := fmt.Sprint(day, "-", i)
			given = append(given, m.sit(who, n, fmt.Sprint(2000+i), who+"@clinic.example").Addresses...)
		}
		for _, s := range []*registry.Session{over, rested} {
			if slices.Contains(given, s.Addresses[0]) != (day == 30) {
				t.Errorf("after %d days people have %v, of which one was that of %s", day, given, s.ID)
			}
		}
	}
}

// Since the backup somebody else may have got what rests of a person: not even that
// person has it at once. And a session that goes on may have been proved anew since.
func TestRestoredSeatsWaitForNobody_A15(t *testing.T) {
	m := begin(t)
	n := m.ward("ward")
	was := m.sit("s1", n, "1000", "ana@clinic.example")
	m.now = noon.Add(time.Hour)
	dan := m.sit("s2", n, "1002", "dan@clinic.example")
	backup := m.state
	m.now = noon.Add(shift + 10*time.Minute)
	if ben := m.sit("s3", n, "1001", "ben@clinic.example"); !slices.Equal(ben.Addresses, was.Addresses) {
		t.Fatalf("ben has %v, which is not what ana had", ben.Addresses)
	}
	known := m.sit("s4", n, "1002", "dan@clinic.example").Until
	m.state = backup
	m.do(registry.BeginIncarnation{Reason: "restored"})
	if again := m.sit("s5", n, "1000", "ana@clinic.example"); slices.Equal(again.Addresses, was.Addresses) {
		t.Errorf("ana has %v again, which peers take for ben's", again.Addresses)
	}
	if m.now = dan.Until; !m.now.Before(known) {
		t.Fatal("dan's later proof holds no longer than the backup knows")
	}
	if cem := m.sit("s6", n, "1003", "cem@clinic.example"); slices.Equal(cem.Addresses, dan.Addresses) {
		t.Errorf("cem has %v, which peers take for dan's until %v", cem.Addresses, known)
	}
}

// A journal of before there were seats is read as it was meant.
func TestOldSessionsAreReadBack(t *testing.T) {
	const put = `{"v":1,"kind":"session-put","time":"2026-11-23T12:00:00Z","data":{"session":{"id":"s1","node":"n-1","user":"u-1","login":"ana@clinic.example",` +
		`"begun":"2026-11-23T12:00:00Z","heard":"2026-11-23T12:00:00Z","until":"2026-11-24T00:00:00Z","logins":[{"at":"2026-11-23T12:00:00Z","until":"2026-11-24T00:00:00Z"}]}}}`
	const active = `{"v":1,"kind":"people-active","time":"2026-11-23T12:01:00Z","data":{"at":{"n-1":1795435260}}}`
	state := &registry.State{}
	for i, text := range []string{put, active} {
		e, err := registry.DecodeEntry(uint64(i+1), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		b, err := registry.EncodeEntry(e)
		if err != nil || string(b) != text && i == 0 {
			t.Errorf("%v: read as\n%s\nwritten as\n%s", err, text, b)
		}
		state = registry.Apply(state, e)
	}
	one := state.SessionsAt("n-1")[0]
	if one.Seat != "" || one.Addresses != nil || one.Active.IsZero() || len(state.SortedRests()) != 0 {
		t.Errorf("read back: %+v", one)
	}
}

// What a hand wrote that edits JSON is refused.
func TestBadSeatsAreRefused(t *testing.T) {
	m := begin(t)
	n := m.ward("ward")
	a, b := m.sit("s1", n, "1000", "ana@clinic.example"), m.sit("s2", n, "1001", "ben@clinic.example")
	m.do(registry.EndSessions{ID: "s2"})
	text := m.encoded()
	for name, bad := range map[string]string{
		"a node's address":       strings.Replace(text, a.Addresses[0].String(), n.Addresses[0].String(), 1),
		"one address twice":      strings.Replace(text, a.Addresses[1].String(), b.Addresses[1].String(), 1),
		"addresses of no seat":   strings.Replace(text, `"seat":"1000",`, "", 1),
		"a rest of nothing":      strings.Replace(text, `"resting":[`, `"resting":[null,`, 1),
		"a rest at no node":      strings.Replace(text, `"resting":[{"node":"`+n.ID, `"resting":[{"node":"n-1`, 1),
		"a rest of no addresses": strings.Replace(text, `"addresses":["`+b.Addresses[0].String()+`","`+b.Addresses[1].String()+`"],"user"`, `"addresses":[],"user"`, 1),
	} {
		if bad == text {
			t.Fatalf("%s: the text is as it was", name)
		}
		if _, err := registry.DecodeState([]byte(bad)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Who does something at a seat does it for their own session alone.
func TestActivityAtASeat(t *testing.T) {
	m := begin(t)
	n := m.ward("ward")
	m.sit("s1", n, "1000", "ana@clinic.example")
	m.sit("s2", n, "1001", "ben@clinic.example")
	m.now = noon.Add(10 * time.Minute)
	note := func(at registry.Sitting) registry.Result {
		return m.do(registry.NoteActive{Of: map[registry.Sitting]registry.Activity{at: {At: m.now, Pause: 7 * time.Minute}}})
	}
	if note(registry.Sitting{Node: n.ID}).Changed || note(registry.Sitting{Node: "n-other", Session: "s1"}).Changed {
		t.Error("activity at the whole machine, or elsewhere, is a seat's")
	}
	if !note(registry.Sitting{Node: n.ID, Session: "s2"}).Changed {
		t.Error("nothing changed")
	}
	all := m.state.SessionsAt(n.ID)
	if !all[0].LastActive().Equal(noon) || !all[1].LastActive().Equal(m.now) || all[1].Pause != 7*time.Minute || len(all[1].Addresses) != 2 || len(m.state.SortedRests()) != 0 {
		t.Errorf("active are %+v and %+v", all[0], all[1])
	}
	b, err := registry.EncodeEntry(m.last.Entries[0])
	if err != nil {
		t.Fatal(err)
	}
	back, err := registry.DecodeEntry(m.last.Entries[0].Revision, b)
	if v, ok := back.Event.(registry.PeopleActive); err != nil || !ok || !slices.Equal(v.Nodes(), []string{n.ID}) {
		t.Errorf("%s is read as %+v, %v", b, back, err)
	}
}
