package oidc

import (
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/oauth2"
)

// Grant is a device authorization under way (RFC 8628 section 3.2): a person
// enters Code at URL, with a browser anywhere.
type Grant struct {
	URL   string // https; to be shown in full, so that people see whose page it is
	Code  string // printable, short, and no secret to the person
	Until time.Time

	answer *oauth2.DeviceAuthResponse // its device code is the secret of this grant
}

// Format prints nothing of the device code, whatever the verb.
func (Grant) Format(f fmt.State, _ rune) { fmt.Fprint(f, "oidc.Grant(hidden)") }

// LogValue is what a log shows of a Grant, also one that encodes as JSON.
func (g Grant) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(g)) }
