package coordinator_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// sessions lists who is signed in.
func (r *running) sessions() []*admin.Session {
	r.t.Helper()
	resp, err := r.root.ListSessions(r.t.Context(), connect.NewRequest(new(admin.ListSessionsRequest)))
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.Msg.Sessions
}

// explain asks how somebody reaches a machine.
func (r *running) explain(who string, m *machine) (*admin.ExplainPolicyResponse, error) {
	r.t.Helper()
	resp, err := r.root.ExplainPolicy(r.t.Context(), connect.NewRequest(&admin.ExplainPolicyRequest{Src: who, Dst: m.id, Protocol: "tcp", Port: 443}))
	if err != nil {
		return nil, err
	}
	return resp.Msg, nil
}

// A seat from the machine's question to the operator's list, through a restart, and out.
func TestPersonSitsDown_A19(t *testing.T) {
	at := &clock{now: time.Now()}
	r := begin(t, ownPeople(at))
	_, secret := r.token(enrolToken())
	m, b := r.enrol(secret), r.browser(at)
	for _, seat := range []string{"0", "ana", "4294967295"} {
		if _, err := m.BeginLogin(t.Context(), connect.NewRequest(&wire.BeginLoginRequest{Seat: seat})); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("a sign-in at seat %q is opened: %v", seat, err)
		}
	}
	b.setUp(r.addAna().Link)
	at.forward(time.Minute)
	out := b.sit(m, "1000", b.code())
	if out.GetState() != wire.AwaitLoginResponse_DONE || out.Session.Seat != "1000" {
		t.Fatalf("signed in: %v\n%s", out, b.page)
	}
	before := r.sessions()
	if len(before) != 1 || before[0].Seat != "1000" || len(before[0].Addresses) != 2 || !netip.MustParsePrefix("100.64.0.0/10").Contains(netip.MustParseAddr(before[0].Addresses[0])) {
		t.Fatalf("an operator is told %v", before)
	}
	_, secret = r.token(enrolToken())
	other := r.enrol(secret)
	if e, err := r.explain("ana@clinic.example", other); err != nil || !strings.Contains(e.Reason, "the seat of session "+out.Session.Id) {
		t.Errorf("where she sits is not what is explained: %v, %v", e, err)
	}
	if _, err := m.Active(t.Context(), connect.NewRequest(&wire.ActiveRequest{Session: out.Session.Id})); err != nil {
		t.Error(err)
	}
	r = r.restarted(nil)
	m = r.again(m)
	if after := r.sessions(); len(after) != 1 || !slices.Equal(after[0].Addresses, before[0].Addresses) {
		t.Errorf("after a restart an operator is told %v", after)
	}
	if ended, err := m.Logout(t.Context(), connect.NewRequest(&wire.LogoutRequest{Session: out.Session.Id})); err != nil || ended.Msg.Ended != 1 || len(r.sessions()) != 0 {
		t.Errorf("signed out: %v, %v, and there are %v", ended, err, r.sessions())
	}
	if e, err := r.explain("ana@clinic.example", m); connect.CodeOf(err) != connect.CodeNotFound || !strings.Contains(err.Error(), "sits at none") {
		t.Errorf("who sits nowhere: %v, %v", e, err)
	}
}

// A node hears of a sign-out by a change of its seats if it names that feature when it
// follows; one that does not hears of all that it has left.
func TestSeatsAreToldAsTheNodeAsks(t *testing.T) {
	at := &clock{now: time.Now()}
	r := begin(t, ownPeople(at))
	_, secret := r.token(enrolToken())
	m, b := r.enrol(secret), r.browser(at)
	b.setUp(r.addAna().Link)
	for _, features := range [][]string{wire.Features(), nil, {"seat-deltas"}} {
		at.forward(time.Minute)
		out := b.sit(m, "1000", b.code())
		if out.GetState() != wire.AwaitLoginResponse_DONE {
			t.Fatalf("signed in: %v\n%s", out, b.page)
		}
		stream, err := m.Follow(t.Context(), connect.NewRequest(&wire.FollowRequest{Level: wire.Level, Instance: []byte("run"), Features: features}))
		if err != nil {
			t.Fatal(err)
		}
		next := func() *wire.Envelope {
			e := new(wire.Envelope)
			for e.GetFull() == nil && e.GetDelta() == nil {
				if !stream.Receive() {
					t.Fatal(stream.Err())
				}
				if err := proto.Unmarshal(stream.Msg().GetSigned().GetPayload(), e); err != nil {
					t.Fatal(err)
				}
			}
			return e
		}
		if self := next().GetFull().GetSelf(); len(self.GetSeats()) != 1 {
			t.Fatalf("with the features %v it is told %v", features, self)
		}
		if _, err := m.Logout(t.Context(), connect.NewRequest(&wire.LogoutRequest{Session: out.Session.Id})); err != nil {
			t.Fatal(err)
		}
		d := next().GetDelta()
		if slices.Contains(features, wire.FeatureSeatDelta) {
			if len(d.Seats) != 1 || d.Self != nil || !slices.Equal(d.Seats[0].End, []string{out.Session.Id}) {
				t.Errorf("with the features %v it is told %v", features, d)
			}
		} else if len(d.Seats) != 0 || d.Self == nil || len(d.Self.Seats) != 0 {
			t.Errorf("with the features %v it is told %v", features, d)
		}
		stream.Close()
	}
}
