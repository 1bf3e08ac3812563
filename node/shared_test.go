package node_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
	"github.com/cordonmesh/cordon/node/local"
)

// A rootless node cannot tell its people apart, and says so before it joins anything.
func TestSharedNeedsAnInterface(t *testing.T) {
	m := newMachine(t, controltest.OnLoopback(t), "ward", "100.64.0.1")
	yes := true
	_, err := m.Up(t.Context(), local.UpRequest{Enrolment: "none", Shared: &yes})
	if err == nil || !strings.HasPrefix(err.Error(), "shared: people at one machine are told apart on Linux alone") {
		t.Fatalf("Up = %v", err)
	}
	if s := m.status(); s.State != local.StateUnenrolled || s.Shared {
		t.Fatalf("afterwards: %+v", s)
	}
}

// Where nobody said that a machine is shared, a sign-in is the whole machine's.
func TestMachineIsSharedOnlyWhereSomebodySaidSo(t *testing.T) {
	m, _ := upWith(t, func(*wire.SelfRecord) {})
	no := false
	if _, err := m.Up(t.Context(), local.UpRequest{Shared: &no}); err != nil {
		t.Fatal(err)
	}
	m.c.SignIn(controltest.SignIns{Begin: func(_ key.NodePublic, q *wire.BeginLoginRequest) (*wire.BeginLoginResponse, error) {
		if q.Seat != "" {
			t.Errorf("a sign-in for the account %q", q.Seat)
		}
		return &wire.BeginLoginResponse{Login: "l1", Url: "https://c.example/login/l1", Until: time.Now().Add(time.Minute).Unix()}, nil
	}})
	if _, err := m.Login(context.Background(), local.LoginRequest{}); err != nil {
		t.Fatal(err)
	}
}
