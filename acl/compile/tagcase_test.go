package compile_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/cordonmesh/cordon/acl/compile"
)

// What a directory calls a tag in another letter case than the policy is that tag.
func TestTagsOfADirectoryInAnyCase(t *testing.T) {
	gateway := bedNode(1, "tag:GW", "10.0.0.0/8")
	gateway.Devices = []compile.Device{{Prefix: netip.MustParsePrefix("10.1.0.5/32"), Tags: []string{"tag:Pump"}}}
	m := bed(t, `"grants": [
			{"src": ["tag:PUMP"], "dst": ["tag:ehr"], "ip": ["*"]},
			{"src": ["tag:ehr"], "dst": ["10.2.0.0/16"], "ip": ["*"], "via": ["tag:gW"]},
		], "autoApprovers": {"routes": {"10.0.0.0/8": ["tag:Gw"]}}`, wardStart(), gateway, bedNode(2, "tag:EHR"))
	if !opensTCP(m, "10.1.0.5", "100.64.0.2") {
		t.Error("a device has not the rights of its tag")
	}
	if !opensTCP(m, "100.64.0.2", "10.2.0.1") {
		t.Error("a node has not the rights of its tag, by a gateway with its own")
	}
	if got := m.ApprovedRoutes(gateway, gateway.Routes); len(got) != 1 {
		t.Errorf("a gateway may route %v", got)
	}
	if got := fmt.Sprint(m.Node("n2").Tags); got != "[tag:ehr]" {
		t.Errorf("a node is shown with %s", got)
	}
	if gateway.Tags[0] != "tag:GW" || gateway.Devices[0].Tags[0] != "tag:Pump" {
		t.Error("what the directory gave was changed")
	}
}
