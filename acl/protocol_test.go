package acl_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl"
)

func TestProtocolsHaveNames(t *testing.T) {
	for name, want := range map[string]acl.Protocol{"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132} {
		if got, err := acl.ParseProtocol(strings.ToUpper(name)); got != want || err != nil {
			t.Errorf("%s is %d, %v", name, got, err)
		}
		if got := want.Name(); got != name {
			t.Errorf("%d is called %s", want, got)
		}
	}
	for i := range 256 {
		p := acl.Protocol(i)
		for _, text := range []string{p.Name(), strconv.Itoa(i)} {
			if got, err := acl.ParseProtocol(text); text != "" && (got != p || err != nil) {
				t.Errorf("%d is read from %q as %d, %v", i, text, got, err)
			}
		}
	}
	if got, err := acl.ParseProtocol(""); got != acl.TCP || err != nil {
		t.Errorf("who names none means %d, %v", got, err)
	}
	if got, err := acl.ParseProtocol("ipv6-icmp"); got != acl.ICMPv6 || err != nil {
		t.Errorf("ipv6-icmp is %d, %v", got, err)
	}
	for _, bad := range []string{"carrier-pigeon", "256", "-1", " tcp", "6.0"} {
		if got, err := acl.ParseProtocol(bad); err == nil || got != 0 || !strings.Contains(err.Error(), "want tcp, udp") {
			t.Errorf("%q is %d, %v", bad, got, err)
		}
	}
}
