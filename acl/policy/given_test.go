package policy_test

import (
	"strings"
	"testing"
)

func TestParseGiven(t *testing.T) {
	p := parseWard(t, `"oncall": {"icu": {"ics": "icu.ics"}}`)
	g, err := p.ParseGiven("--given", []byte(`{"at": "2026-11-22T03:00-06:00", "oncall": ["icu"], "mfaAge": "5m", "risk": 30}`))
	if err != nil || g.At.UTC().Hour() != 9 || g.OnCall[0] != "icu" || !g.LoggedIn || g.Risk != 30 {
		t.Errorf("%+v, %v", g, err)
	}
	for text, want := range map[string]string{
		`{"oncall": ["ici"]}`:   `--given:1:13: oncall="ici": `,
		`{"risks": 1}`:          `--given:1:2: "risks": `,
		`{"at": "yesterday"}`:   `is no moment with a time zone`,
		`[]`:                    `--given:1:1`,
		`{"risk": 1, "risk":2}`: `twice`,
	} {
		if g, err := p.ParseGiven("--given", []byte(text)); g != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
