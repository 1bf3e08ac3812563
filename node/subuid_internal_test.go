package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/localapi"
)

// Who can become many accounts by themselves signs in as one of them: their own.
func TestNobodySignsInAsASubordinateAccount_A41(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subuid")
	n := &Node{identity: &control.Identity{Shared: true}, subUIDs: file}
	seat := func(account string) error {
		got, err := n.seatFor(localapi.WithCaller(t.Context(), localapi.Caller{Role: localapi.RoleUse, Account: account}))
		if err == nil && got != account {
			t.Errorf("account %s signs in for %q", account, got)
		}
		return err
	}
	if err := seat("100000"); err != nil {
		t.Errorf("where there are no subordinate accounts: %v", err)
	}
	if err := os.WriteFile(file, []byte("# given\nmallory:100000:65536\n\nbroken:7\n1001:300000:1\nodd:x:9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for account, may := range map[string]bool{
		"1000": true, "7": true, "99999": true, "100000": false, "165535": false, "165536": true, "300000": false, "300001": true, "1001": true,
	} {
		if err := seat(account); may != (err == nil) || !may && !errors.Is(err, errSubordinate) {
			t.Errorf("account %s: %v", account, err)
		}
	}
}
