package oidc_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// That there is no room for what the provider could be asked with is told once, and
// counted, until there was room again; nobody is refused a sign-in for it.
func TestFullVaultIsTold(t *testing.T) {
	const most = 50_000
	h := newHostile(t)
	h.token["refresh_token"] = refresh
	var log bytes.Buffer
	h.config.Log = slog.New(slog.NewTextHandler(&log, nil))
	p := h.provider()
	full := func(refused uint64, told int) {
		t.Helper()
		if who, err := p.Redeem(t.Context(), code, h.attempt); err != nil || who.Standing != "" {
			t.Errorf("with no room: %+v, %v", who, err)
		}
		if kept := p.Kept(); kept.Held != most || kept.Refused != refused || strings.Count(log.String(), "too many refresh tokens") != told {
			t.Errorf("%+v, told:\n%s", kept, log.String())
		}
	}
	names := p.Crowd(most)
	full(1, 1)
	full(2, 1)
	p.Release(names[0])
	p.Crowd(1)
	full(3, 1)
	for _, name := range names[1 : most/10+2] {
		p.Release(name)
	}
	p.Crowd(most/10 + 1)
	full(4, 2)
}
