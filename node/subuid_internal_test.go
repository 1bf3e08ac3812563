package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/localapi"
)

// Who can become many accounts by themselves signs in as one of them: their own.
func TestNobodySignsInAsASubordinateAccount_A41(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subuid")
	n := &Node{identity: &control.Identity{Shared: true}, subIDs: subordinates{file: file}}
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

// Where a directory gives such accounts it cannot be asked: an admin is told, until the
// file has the directory's range.
func TestDirectoryOfSubordinateAccountsIsNamed_A41(t *testing.T) {
	dir := t.TempDir()
	s := subordinates{filepath.Join(dir, "subuid"), filepath.Join(dir, "nsswitch.conf")}
	m := &mesh{node: &Node{identity: &control.Identity{Shared: true}, subIDs: s}, world: &stackWorld{}}
	for _, c := range []struct{ nameSwitch, subuid, want string }{
		{"", "", ""},
		{"passwd: files sss\nsubid: files\n", "", ""},
		{"# subid: sss\n", "", ""},
		{"passwd: files\nsubid:  sss # of the domain\n", "anna:100000:65536\n", "sss:FIRST:COUNT"},
		{"subid: sss\n", "sss:2147483648:65536\n", ""},
	} {
		for name, text := range map[string]string{s.nameSwitch: c.nameSwitch, s.file: c.subuid} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		warned := strings.Join(m.sharedWarnings(&wire.SelfRecord{}), "")
		if (warned != "") != (c.want != "") || !strings.Contains(warned, c.want) {
			t.Errorf("%+v: %q", c, warned)
		}
	}
	if !s.isSubordinate("2147549183") || s.isSubordinate("2147549184") {
		t.Error("the range of the directory is not obeyed")
	}
}
