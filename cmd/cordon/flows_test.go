package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/local"
)

// A line names the peer at its end, and no name can pretend to be another line.
func TestFlowsAreOneLineEach(t *testing.T) {
	at := time.Date(2026, 11, 23, 14, 0, 0, 0, time.Local)
	src, dst := netip.MustParseAddrPort("100.64.0.2:5000"), netip.MustParseAddrPort("100.64.0.1:443")
	for _, tt := range []struct {
		flow local.Flow
		want string
	}{
		{local.Flow{Event: local.FlowStart, Time: at, Outbound: true, Peer: "ehr", Src: src, Dst: dst, Protocol: "tcp", Verdict: local.VerdictPermitted, Rule: "a\nb"},
			"2026-11-23 14:00:00\tout\t100.64.0.2:5000\tehr 100.64.0.1:443\ttcp\tpermitted\ta?b\t-\t-\tbegan"},
		{local.Flow{Event: local.FlowEnd, Time: at.Add(time.Minute), Started: at, Peer: "ward", Src: src, Dst: dst, Protocol: "tcp", Verdict: local.VerdictPermitted,
			Rule: "read", Reason: "by itself", Packets: &local.Traffic{Sent: 3, Answered: 2}, Bytes: &local.Traffic{Sent: 100, Answered: 2048}},
			"2026-11-23 14:01:00\tin\tward 100.64.0.2:5000\t100.64.0.1:443\ttcp\tpermitted\tread\t3+2\t100 B+2.0 KiB\tended after 1m0s: by itself"},
		{local.Flow{Event: local.FlowRefused, Time: at, Src: src, Dst: dst, Protocol: "tcp", Verdict: local.VerdictRefused, Reason: "no rule allows it"},
			"2026-11-23 14:00:00\tin\t100.64.0.2:5000\t100.64.0.1:443\ttcp\trefused\t-\t-\t-\tno rule allows it"},
		{local.Flow{Event: local.FlowLimit, Time: at, Src: src, Dst: dst, Protocol: "tcp", Verdict: local.VerdictLimited, Rule: "read", OnExceed: "alert", Until: at.Add(time.Hour)},
			"2026-11-23 14:00:00\tin\t100.64.0.2:5000\t100.64.0.1:443\ttcp\tlimited\tread\t-\t-\tlimit exceeded (alert), until 2026-11-23 15:00"},
	} {
		if got := flowLine(&tt.flow); got != tt.want {
			t.Errorf("got\n%q\nwant\n%q", got, tt.want)
		}
	}
}
