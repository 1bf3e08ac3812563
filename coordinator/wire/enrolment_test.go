package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

const secret = "k7m2q4xza3bvndf6w5ryjt2hcu"

func enrolment(t testing.TB) wire.Enrolment {
	m := newMesh(t)
	return wire.Enrolment{URL: "https://coordinator.example:8443", Fingerprint: m.root.Public().Fingerprint(), Secret: secret}
}

func TestEnrolmentRoundTrip(t *testing.T) {
	e := enrolment(t)
	for _, url := range []string{"https://coordinator.example:8443", "https://coordinator.example", "https://10.0.0.1:443",
		"https://[fd00::1]:8443", "https://localhost:1", "https://x:65535"} {
		e.URL = url
		got, err := wire.ParseEnrolment("\n  " + e.Reveal() + " \n")
		if err != nil || got != e {
			t.Errorf("%s: %v %v", url, got, err)
		}
	}
}

func TestEnrolmentErrorsNeverRepeatTheInput_A44(t *testing.T) {
	e := enrolment(t)
	digits := e.Fingerprint.String()
	good := e.Reveal()
	bad := []string{
		"", secret, "cordon:" + secret, strings.TrimPrefix(good, "cordon:"), strings.ToUpper(good),
		"cordon:https://a.example." + secret,
		"cordon:https://a.example#" + secret,
		"cordon:https://a.example#" + digits + secret,
		"cordon:https://a.example#" + digits[1:] + "." + secret,
		"cordon:https://a.example#" + strings.Repeat("0", 64) + "." + secret,
		"cordon:https://a.example#" + strings.Repeat("x", 64) + "." + secret,
		"cordon:https://a.example#" + digits + "." + secret[:25],
		"cordon:https://a.example#" + digits + "." + secret + "." + secret,
		"cordon:https://a.example#" + digits + "." + secret + " x",
		"cordon:https://a.example#" + digits + "." + strings.Repeat(secret, 5),
		good + strings.Repeat(" ", 1024) + secret,
	}
	for _, url := range []string{"http://a.example", "https://", "https:///x", "https://a.example/", "https://a.example/" + secret,
		"https://a.example?" + secret, "https://" + secret + "@a.example", "https://a.example:", "https://a.example:0",
		"https://a.example:65536", "https://a.example:0443", "https://A.example", "https://a_b.example", "https://a..b",
		"https://-a.example", "https://a.example:" + secret, "https://[fe80::1%25eth0]:1", "HTTPS://a.example",
		"//a.example", "a.example:443", "https://a.ex ample", "https://%41.example", "https://" + secret + "%zz"} {
		bad = append(bad, "cordon:"+url+"#"+digits+"."+secret)
	}
	for _, text := range bad {
		_, err := wire.ParseEnrolment(text)
		if !errors.Is(err, wire.ErrEnrolment) {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if said := strings.ToLower(err.Error()); strings.Contains(said, secret) || strings.Contains(said, "example") {
			t.Errorf("the error repeats the input: %v", err)
		}
	}
}

func TestEnrolmentHidesItsSecret_A44(t *testing.T) {
	e := enrolment(t)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", e)
		fmt.Fprintf(&out, verb+"\n", &e)
		fmt.Fprintf(&out, verb+"\n", []any{e, struct{ wire.Enrolment }{e}})
	}
	fmt.Fprintln(&out, e.String())
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "e", e, "p", &e, "in", struct{ E wire.Enrolment }{e})
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "e", e, "p", &e, "in", struct{ E wire.Enrolment }{e})
	if b, err := json.Marshal(e); err == nil {
		t.Errorf("marshalled: %s", b)
	}
	if strings.Contains(out.String(), secret) {
		t.Errorf("the secret was printed:\n%s", out.String())
	}
	if !strings.Contains(out.String(), e.Fingerprint.String()) || !strings.Contains(out.String(), e.URL) {
		t.Error("what is not secret should be there for the log's reader")
	}
}
