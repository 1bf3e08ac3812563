package local_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
)

// Whatever a browser sends as a proof proves nobody, and costs no more than a refusal.
func FuzzProof(f *testing.F) {
	c := open(f)
	c.member(ana)
	f.Add(ana, phrase, "000000")
	f.Add("\xff@\x00", strings.Repeat("é", 300), "１２３４５６")
	f.Fuzz(func(t *testing.T, login, password, code string) {
		var wait *local.WaitError
		if who, err := c.Password(t.Context(), kiosk(botnet(len(login+password))), local.Proof{Login: login, Password: password, Code: code}); !errors.Is(err, local.ErrWrong) && !errors.As(err, &wait) {
			t.Errorf("%+v, %v", who, err)
		}
	})
}

// Whatever a browser sends as a passkey's answer signs nobody in, and enrols nothing.
func FuzzPasskeyAnswer(f *testing.F) {
	c := open(f)
	link := c.add(ana)
	k := newAuthenticator(f)
	made := k.create(c, link)
	f.Add(made, made)
	options, ceremony, err := c.BeginPasskey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.get(options), `{"id":"AA","rawId":"AA","type":"public-key","response":{}}`)
	f.Add(strings.Repeat("[", 16000), "")
	state := c.Snapshot()
	f.Fuzz(func(t *testing.T, get, create string) {
		if who, err := c.Passkey(t.Context(), kiosk(cellar()), ceremony, get); !errors.Is(err, local.ErrPasskey) {
			t.Errorf("%+v, %v", who, err)
		}
		if create == made { // which would be taken, and rightly
			return
		}
		if err := c.EnrolPasskey(t.Context(), cellar(), link, create); err == nil && !strings.Contains(create, `"attestationObject"`) {
			t.Errorf("%q is a passkey", create)
		}
		c.mu.Lock()
		c.state = state // what differs only in what does not matter is taken
		c.mu.Unlock()
	})
}
