package policy_test

import (
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

// TestDocumentedFormsLoad reads testdata/documented.txt: whatever form of a section the
// dialect is documented to have loads, with what it is warned of. CORDON_GOLDEN=1 writes
// the file anew.
func TestDocumentedFormsLoad(t *testing.T) {
	const definitions = `"groups": {"group:eng": ["dave@example.com", "laura@example.com"]}, "hosts": {"host-1": "100.101.100.100", "net-1": "10.33.0.0/16"},
"tagOwners": {"tag:web": ["dave@example.com"], "tag:ci": [], "tag:exit": ["autogroup:network-admin", "tag:ci", "group:eng"]},
"ipsets": {"ipset:prod": ["10.33.0.0/16", "add 192.0.2.0/24", "remove 10.33.4.0/24", "host:net-1", "add ipset:corp"], "ipset:corp": ["add 10.9.0.1-10.9.0.9", "host-1"]},
"postures": {"posture:mac": ["node:os IN ['macos', 'ios']", "node:osVersion >= '13.4.0'"], "posture:ts": ["node:tsReleaseTrack == 'stable'", "node:tsAutoUpdate", "ip:country NOT IN ['XX']"], "posture:edr": ["falcon:ztaScore >= 70", "custom:tier IS SET"]}}`
	golden(t, "testdata/documented.txt", func(src string) string {
		_, warnings, err := policy.Parse("p", []byte("{"+src+",\n"+definitions))
		if err != nil {
			t.Errorf("is refused: %v", err)
			return ""
		}
		var lines []string
		for _, w := range warnings {
			lines = append(lines, w.String())
		}
		return strings.Join(lines, "\n")
	})
}
