package control_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
)

// A machine that was given no fingerprint takes one from nobody but the owner of the
// coordinator's name, as the authorities know it that this machine trusts.
func TestRootIsFoundAtTheOwnerOfTheNameAlone_A12(t *testing.T) {
	root := key.NewRoot()
	pin := root.Public().Fingerprint().String()
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(pin)) }))
	defer elsewhere.Close()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string // in the error; empty: the fingerprint is found
	}{
		"the coordinator": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == wire.RootPath && r.Method == http.MethodGet {
				w.Write([]byte(pin + "\n"))
			}
		}, ""},
		"a page":        {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>sign in to the hotspot</html>")) }, "gave no fingerprint"},
		"an endless":    {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(strings.Repeat("a", 1<<20))) }, "gave no fingerprint"},
		"nothing there": {http.NotFound, "is no coordinator at which machines join"},
		"elsewhere":     {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "is no coordinator at which machines join"},
	} {
		s := httptest.NewTLSServer(c.answer)
		client := control.WebClient()
		if _, err := control.FindRoot(t.Context(), client, s.URL); err == nil || !strings.Contains(err.Error(), "nobody vouches for the coordinator") {
			t.Errorf("%s: of a certificate that no authority knows: %v", name, err)
		}
		client.Transport = s.Client().Transport
		got, err := control.FindRoot(t.Context(), client, s.URL)
		switch {
		case c.want == "" && (err != nil || got.String() != pin):
			t.Errorf("%s: %v, %v", name, got, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
	}
}

// What makes this machine a node must be of the mesh whose root was pinned, and for
// its own key.
func TestJoiningIsPinned_A12(t *testing.T) {
	c := controltest.OnLoopback(t)
	c.SignIn(controltest.SignIns{Join: func(key.NodePublic, *wire.BeginJoinRequest) (*wire.BeginJoinResponse, error) {
		return &wire.BeginJoinResponse{}, nil
	}})
	d, k := fresh(t)
	other := key.NewRoot()
	if _, _, err := control.BeginJoin(t.Context(), d, k, c.URL, other.Public().Fingerprint(), "ward", "test", nil); err == nil {
		t.Error("it joins a mesh of another root")
	}
	pin := c.Mesh.Root.Public().Fingerprint()
	if j, id, err := control.BeginJoin(t.Context(), d, k, c.URL, pin, "ward", "test", nil); err != nil || j != nil || id == nil || id.Node != wire.NodeID(k.Node.Public()) {
		t.Errorf("a machine that had joined: %+v, %+v, %v", j, id, err)
	}
	stranger := key.NewNode()
	c.Certify(func(key.NodePublic) [][]byte { return c.Mesh.NodeChain(stranger.Public()) })
	if _, id, err := control.BeginJoin(t.Context(), d, k, c.URL, pin, "ward", "test", nil); err == nil {
		t.Errorf("it takes a certificate of another key: %+v", id)
	}
	if kept, err := d.Identity(); err != nil || kept != nil {
		t.Errorf("nobody saved an identity, and there is %+v, %v", kept, err)
	}
}
