package osnet_test

import (
	"context"
	"io"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

// Whatever somebody does to our table, it is noticed and mended; what somebody
// does to tables of others is none of our business.
func TestWallIsMended(t *testing.T) {
	if !rooted(t) {
		return
	}
	ns := namespace(t)
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	must(t, n.Apply(mesh()))
	whole := nft(t, "list", "ruleset")
	ch, looking := make(events, 10), make(chan struct{})
	inside(t, ns, func(ctx context.Context) error {
		close(looking)
		return n.Watch(ctx, func(e osnet.Event) {
			if err := n.Reapply(); err != nil {
				t.Error(err)
			}
			ch <- e
		})
	})
	<-looking
	for _, doing := range []string{
		"flush ruleset",
		"delete table inet mesh-cordon0",
		"flush table inet mesh-cordon0",
		"flush chain inet mesh-cordon0 refused",
		"insert rule inet mesh-cordon0 output accept",
		"add rule inet mesh-cordon0 prerouting accept",
		"add chain inet mesh-cordon0 more { type filter hook input priority 0; }",
		"chain inet mesh-cordon0 output { policy drop; }",
		"delete element inet mesh-cordon0 own4 { 100.64.0.1 }",
		"delete element inet mesh-cordon0 tunnel4 { 100.64.0.0/10 }",
		"add element inet mesh-cordon0 mesh6 { fd00::/48 }",
	} {
		nft(t, doing)
		ch.expect(t, doing, osnet.WallLost)
		if now := nft(t, "list", "ruleset"); now != whole {
			t.Errorf("after %q it was mended to:\n%s\nwant:\n%s", doing, now, whole)
		}
	}
	nft(t, "add table inet admin; add chain inet admin in { type filter hook input priority 0; }; add rule inet admin in counter")
	select {
	case e := <-ch:
		t.Errorf("an admin's own table: %v", e)
	case <-time.After(300 * time.Millisecond):
	}
}

// What was counted is not forgotten when the wall follows a new map, and nothing
// is written when it has nothing to follow.
func TestWallFollowsApply(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	must(t, n.Apply(mesh()))
	dropRules(t, n)
	refuse := exec.Command("ping", "-n", "-c", "1", "-W", "1", peer4.String())
	if out, err := refuse.CombinedOutput(); err == nil || counted(t, "to the mesh past the tunnel") != 1 {
		t.Fatalf("ping was not refused: %s", out)
	}
	w := mesh()
	w.Addresses = []netip.Addr{noPeer4, self6}
	w.Routes = append(w.Routes, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("ffff::/16"))
	must(t, n.Apply(w))
	list := nft(t, "list", "ruleset")
	for _, want := range []string{
		"elements = { 100.64.9.9 }", "elements = { fd00:c0de::1 }",
		"elements = { 0.0.0.0-169.253.255.255, 169.255.0.0-223.255.255.255,\n\t\t\t     240.0.0.0-255.255.255.254 }",
		"elements = { ::-fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff,\n\t\t\t     fec0::/10,\n\t\t\t     ffff::/16 }",
	} {
		if !strings.Contains(list, want) {
			t.Errorf("no %q in:\n%s", want, list)
		}
	}
	if got := counted(t, "to the mesh past the tunnel"); got != 1 {
		t.Errorf("the counter stands at %d", got)
	}
	before := handles(t)
	must(t, n.Apply(w))
	must(t, n.Reapply())
	if after := handles(t); after != before {
		t.Errorf("an Apply of the same made the table anew: %s, was %s", after, before)
	}
}

// handles lists the numbers that the kernel gave the table and what is in it: a
// table that is made anew has others.
func handles(t *testing.T) string {
	var all []string
	for _, line := range strings.Split(nft(t, "--handle", "list table inet mesh-cordon0"), "\n") {
		if _, handle, ok := strings.Cut(line, "# handle "); ok {
			all = append(all, handle)
		}
	}
	if len(all) == 0 {
		t.Error("no handles in the table")
	}
	return strings.Join(all, " ")
}

// A killed daemon leaves its wall, and the next one has no moment without.
func TestWallOutlivesTheDaemon(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	killed, err := osnet.New(osnet.Config{})
	must(t, err)
	must(t, killed.Apply(mesh()))
	must(t, open(t, killed).Close())
	left := nft(t, "list", "ruleset")
	n := newNetwork(t, osnet.Config{})
	if now := nft(t, "list", "ruleset"); now != left || !strings.Contains(now, "100.64.0.0/10") {
		t.Errorf("a new run made of it:\n%s", now)
	}
	w := mesh()
	w.Addresses = []netip.Addr{noPeer4}
	must(t, n.Apply(w))
	if now := nft(t, "list", "ruleset"); strings.Contains(now, "100.64.0.1") || !strings.Contains(now, "100.64.9.9") || strings.Count(now, "table") != 1 {
		t.Errorf("the next Apply made of it:\n%s", now)
	}
}

// The wall stands before the address: there is no moment for a neighbour.
func TestWallComesBeforeTheAddresses(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	n := newNetwork(t, osnet.Config{})
	must(t, n.Apply(mesh()))
	if now := nft(t, "list", "ruleset"); !strings.Contains(now, "elements = { 100.64.0.1 }") {
		t.Errorf("before there is a TUN:\n%s", now)
	}
}

// Where nftables refuses, for whatever reason, the node does all else and says
// so; when it no longer does, the wall is built.
func TestWithoutWallTheRestGoesOn(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	stop := ownTable(t, "mesh-cordon0")
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	must(t, n.Apply(mesh()))
	wantLeads(t, "without the wall", 0, map[netip.Addr]string{peer4: "cordon0", peer6: "cordon0", noPeer4: "refused"})
	if err := n.Unwalled(); err == nil || !strings.Contains(err.Error(), "mesh-cordon0") || !strings.Contains(err.Error(), "not permitted") {
		t.Errorf("Unwalled = %v, want why and where", err)
	}
	must(t, n.Reapply())
	stop()
	must(t, n.Reapply())
	if err := n.Unwalled(); err != nil || !strings.Contains(nft(t, "list", "ruleset"), "100.64.0.1") {
		t.Errorf("afterwards: %v\n%s", err, nft(t, "list", "ruleset"))
	}
}

// ownTable makes a table that the kernel keeps for another program alone, until
// stop is called.
func ownTable(t *testing.T, name string) (stop func()) {
	t.Helper()
	other := exec.Command("nft", "-i")
	in, err := other.StdinPipe()
	must(t, err)
	must(t, other.Start())
	stop = func() {
		in.Close()
		other.Wait()
	}
	t.Cleanup(stop)
	_, err = io.WriteString(in, "add table inet "+name+" { flags owner; }\n")
	must(t, err)
	for end := time.Now().Add(patience); !strings.Contains(nft(t, "list", "tables"), name); {
		if time.Now().After(end) {
			t.Fatal("the other program made no table")
		}
		time.Sleep(10 * time.Millisecond)
	}
	return stop
}

func TestWallsOfTwoMeshes(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	one, two := newNetwork(t, osnet.Config{Name: "clinic"}), newNetwork(t, osnet.Config{Name: "hospital"})
	open(t, one)
	open(t, two)
	must(t, one.Apply(osnet.Want{Addresses: []netip.Addr{self4}, Guards: []netip.Prefix{range4}}))
	must(t, two.Apply(osnet.Want{Addresses: []netip.Addr{self6}, Guards: []netip.Prefix{range6}}))
	must(t, one.Close())
	if now := nft(t, "list", "tables"); now != "table inet mesh-hospital\n" {
		t.Errorf("left: %q", now)
	}
}
