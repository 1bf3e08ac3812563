package coordinator_test

import (
	"crypto/sha256"
	"regexp"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

// operate has ana sign in to operate, and gives what her browser shows at the end.
func (h *house) operate(finish bool) (page string) {
	h.t.Helper()
	const secret = "abcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(secret))
	api := admin.NewAdminServiceClient(h.operator(admin.ServerName), "https://"+h.address)
	opened, err := api.BeginLogin(h.t.Context(), connect.NewRequest(&admin.BeginLoginRequest{Challenge: sum[:]}))
	if err != nil {
		h.t.Fatal(err)
	}
	page, err = h.browser().SignIn(opened.Msg.Url, h.issuer(), "ana")
	if err != nil {
		h.t.Fatalf("%v\n%s", err, page)
	}
	if !finish {
		return page
	}
	m := regexp.MustCompile(`Last code</dt><dd class="code">([B-Z]{4}-[B-Z]{4})<`).FindStringSubmatch(page)
	if m == nil {
		h.t.Fatalf("no last code:\n%s", page)
	}
	if _, err := api.FinishLogin(h.t.Context(), connect.NewRequest(&admin.FinishLoginRequest{Login: opened.Msg.Login, Code: m[1], Secret: secret})); err != nil {
		h.t.Fatal(err)
	}
	return page
}

// What the provider could be asked with is held for sessions alone that somebody watches.
func TestRefreshTokensAreHeldForSessionsAlone_A44(t *testing.T) {
	h := newHouse(t, time.Hour)
	held := func(want string) {
		t.Helper()
		if !h.measured("cordon_provider_refresh_tokens_held "+want) || !h.measured("cordon_provider_refresh_tokens_refused_total 0") {
			t.Errorf("other than %s are held", want)
		}
	}
	h.signIn()
	held("1")
	if page := h.operate(false); !strings.Contains(page, "no role by which to operate") {
		t.Errorf("without a role:\n%s", page)
	}
	held("1")
	if _, err := h.root.GrantRole(t.Context(), connect.NewRequest(&admin.GrantRoleRequest{User: "ana@clinic.example", Role: "device-admin"})); err != nil {
		t.Fatal(err)
	}
	h.operate(true)
	held("2") // also while somebody operates
	h.signIn()
	held("3")
	h.again(func(c *coordinator.Config) { c.SignIn.Check = -1 })
	h.signIn()
	held("0")
}

// That questions to the provider fall behind is measured, and a warning.
func TestLateQuestionsAreTold(t *testing.T) {
	h := newHouse(t, time.Minute)
	at := &clock{now: time.Now()}
	h.again(func(c *coordinator.Config) { c.Now = at.Now })
	h.signIn()
	told := func() string {
		t.Helper()
		resp, err := h.root.ListWarnings(t.Context(), connect.NewRequest(&admin.ListWarningsRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, w := range resp.Msg.Warnings {
			all = append(all, w.Text)
		}
		return strings.Join(all, "\n")
	}
	if got := told(); got != "" || !h.measured("cordon_provider_late_seconds 0") {
		t.Errorf("warned of what is in time: %s", got)
	}
	h.eventually("late questions are told", func() bool {
		at.forward(5 * time.Minute)
		return strings.Contains(told(), "provider "+h.issuer()+": it answers too slowly for the 1 sessions of which")
	})
	h.eventually("late questions are measured", func() bool {
		at.forward(5 * time.Minute)
		return !h.measured("cordon_provider_late_seconds 0")
	})
}
