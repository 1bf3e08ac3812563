package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// operator has a person sign in to operate, to whom a role is given, by the command line
// and a browser, which the provider may remember and in which they prove anew who they
// are, from a machine that is not the coordinator's. It gives what runs commands in their
// name.
func (s *scene) operator(ctx context.Context, t *testing.T, mine *browser, name string) func(args ...string) (string, error) {
	t.Helper()
	login, session := name+"@hospital.example", filepath.Join(t.TempDir(), "session")
	granted := s.coordinator.Ctl("role", "grant", login, "policy-admin")
	_, address, found := strings.Cut(granted, "--coordinator ")
	if !found {
		t.Fatalf("role grant does not say how to sign in: %s", granted)
	}
	cmd := s.Host("ward").Command(ctx, s.programs.Path("cordonctl"), "--credential-file", session, "login", "--coordinator", strings.TrimSpace(address))
	typed, _ := cmd.StdinPipe()
	told, _ := cmd.StderrPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	page := line(t, told, `https://\S+/login/\S+`)
	proofs := mine.Proofs()
	end := mine.signIn(page, name)
	if mine.Proofs() != proofs+1 {
		t.Errorf("%s operates without having proved anew who they are", name)
	}
	code := regexp.MustCompile(`[B-Z]{4}-[B-Z]{4}`).FindString(end)
	_, _ = io.WriteString(typed, "BCDF-GHJK\n"+code+"\n")
	rest, _ := io.ReadAll(told)
	if err := cmd.Wait(); err != nil || code == "" {
		t.Fatalf("login: %v\n%s\n%s", err, rest, end)
	}
	return func(args ...string) (string, error) {
		return s.Host("ward").Run(ctx, s.programs.Path("cordonctl"), append([]string{"--credential-file", session}, args...)...)
	}
}

// operates has a person operate: they may what their role says, and no more once it is
// taken.
func (s *scene) operates(t *testing.T, mine *browser, name string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	login, ctl := name+"@hospital.example", s.operator(ctx, t, mine, name)
	if out, err := ctl("whoami"); err != nil || !strings.Contains(out, login) || !strings.Contains(out, "policy-admin") {
		t.Errorf("whoami: %v\n%s", err, out)
	}
	if out, err := ctl("policy", "get"); err != nil {
		t.Errorf("a policy admin reads the policy: %v\n%s", err, out)
	}
	if out, err := ctl("node", "remove", "ehr"); err == nil || !strings.Contains(err.Error()+out, "lacks the scope nodes") {
		t.Errorf("a policy admin removes a node: %v\n%s", err, out)
	}
	s.coordinator.Ctl("role", "revoke", login, "policy-admin")
	if out, err := ctl("policy", "get"); err == nil {
		t.Errorf("without the role: %s", out)
	}
	if out, err := ctl("--json", "logout"); err != nil || !json.Valid([]byte(out)) {
		t.Errorf("logout, in JSON: %v\n%s", err, out)
	}
	if out, err := ctl("whoami"); err == nil {
		t.Errorf("signed out: %s", out)
	}
}

// line reads what a program says up to something of a form, and gives that.
func line(t *testing.T, from io.Reader, form string) string {
	t.Helper()
	for said := bufio.NewReader(from); ; {
		text, err := said.ReadString('\n')
		if found := regexp.MustCompile(form).FindString(text); found != "" {
			return found
		}
		if err != nil {
			t.Fatalf("it never says %s: %v", form, err)
		}
	}
}
