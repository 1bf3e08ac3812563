package integration

import (
	"context"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// byDeviceCode signs a person in by the command line of a machine whose browser reaches
// no coordinator, and gives what the command says at its end.
func (s *scene) byDeviceCode(ctx context.Context, b *browser, name, action string) (text string, err error) {
	s.t.Helper()
	cmd := s.Host("ward").Command(ctx, s.programs.Path("cordon"), "--socket", s.nodes["ward"].Socket(), "login", "--device-code")
	out, pipe := io.Pipe()
	cmd.Stdout, cmd.Stderr = pipe, pipe
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait(); pipe.Close() }()
	begun := line(s.t, out, `give it this code: \S+`)
	if err := b.Enter(issuer, strings.TrimPrefix(begun, "give it this code: "), name, action); err != nil {
		s.t.Fatal(err)
	}
	rest, _ := io.ReadAll(out)
	return string(rest), <-ended
}

// Where no browser reaches the coordinator, a person types a code in at the provider's
// page; only whose the machine is signs in there, and who does not agree does not.
func TestPersonSignsInByDeviceCode(t *testing.T) {
	t.Parallel()
	s := raiseDesk(t, nurses)
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	for who, c := range map[string]struct{ action, says string }{
		"nina": {"denied", "access_denied"},
		"ben":  {"allowed", "this machine is nina@hospital.example's"},
	} {
		text, err := s.byDeviceCode(ctx, newBrowser(t, s.Host("hub")), who, c.action)
		if _, failed := err.(*exec.ExitError); !failed || !strings.Contains(text, c.says) {
			t.Errorf("%s, %s: %v\n%s", who, c.action, err, text)
		}
	}
	ehr := s.at("ehr", 443)[0]
	s.serve("ehr", 443)
	text, err := s.byDeviceCode(ctx, newBrowser(t, s.Host("hub")), "nina", "allowed")
	if err != nil || !strings.Contains(text, "nina@hospital.example is signed in until") {
		t.Fatalf("nina: %v\n%s", err, text)
	}
	s.served("ward", "tcp", ehr)
	// By the other way she is the same person.
	if page, told := s.login("ward", "nina"); told.Session == nil || told.Session.User != "nina@hospital.example" {
		t.Errorf("in a browser: %+v\n%s", told, page)
	}
}
