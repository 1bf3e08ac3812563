package local

import (
	"context"
	"net/netip"
	"time"
)

// FlowsRequest asks for the node's flow log: the newest few thousand records, which
// are kept in memory alone.
type FlowsRequest struct {
	From    uint64  `json:"from,omitempty"`    // number of the first record; 0: as far back as there are
	Limit   int     `json:"limit,omitempty"`   // at most so many, the newest; 0: all
	Rule    string  `json:"rule,omitempty"`    // those that this rule decided; empty: of any
	Verdict Verdict `json:"verdict,omitempty"` // those that fell so; empty: any
}

// FlowsResponse has records, the oldest first.
type FlowsResponse struct {
	Flows []Flow `json:"flows"`
	Next  uint64 `json:"next"` // From of who asks for what comes later
	Lost  uint64 `json:"lost"` // records from From on that were overwritten before they were read
}

// Verdict is how a flow fared, in one word.
type Verdict string

// The verdicts.
const (
	VerdictPermitted Verdict = "permitted"
	VerdictRefused   Verdict = "refused"   // or cut off, if it is that of an end
	VerdictMonitored Verdict = "monitored" // no rule permits it, and it passes for now
	VerdictLimited   Verdict = "limited"   // a rule's limit was exceeded
)

// Verdicts gives all verdicts.
func Verdicts() []Verdict {
	return []Verdict{VerdictPermitted, VerdictRefused, VerdictMonitored, VerdictLimited}
}

// FlowEvent says what a record tells of.
type FlowEvent string

// The events. A flow has a start, and an end with its totals, for each time that it
// was let pass.
const (
	FlowStart   FlowEvent = "start"
	FlowEnd     FlowEvent = "end"
	FlowRefused FlowEvent = "refused" // the first of packets that were refused alike
	FlowLimit   FlowEvent = "limit"   // the first excess of a rule's limit by a source in a window
)

// Flow is one record of the flow log.
type Flow struct {
	Event    FlowEvent      `json:"event"`
	Flow     uint32         `json:"flow,omitempty"` // the same in a flow's start and end
	Time     time.Time      `json:"time"`           // policy time
	Outbound bool           `json:"outbound"`       // this machine, or what is behind it, began it
	Peer     string         `json:"peer,omitempty"` // name of the peer at the other end
	Src      netip.AddrPort `json:"src"`
	Dst      netip.AddrPort `json:"dst"`
	Protocol string         `json:"protocol"`
	Verdict  Verdict        `json:"verdict"`
	Rule     string         `json:"rule,omitempty"`
	Reason   string         `json:"reason,omitempty"`  // why it was refused, or how it ended
	Revision uint64         `json:"revision"`          // of the map by which it was judged
	Started  time.Time      `json:"started,omitzero"`  // end only
	Packets  *Traffic       `json:"packets,omitempty"` // end only
	Bytes    *Traffic       `json:"bytes,omitempty"`   // end only
	OnExceed string         `json:"onExceed,omitempty"`
	Until    time.Time      `json:"until,omitzero"` // limit only: policy time at which the window ends
}

// Traffic is what passed as a flow's first packet went, and against it.
type Traffic struct {
	Sent     uint64 `json:"sent"`     // by who began it
	Answered uint64 `json:"answered"` // by the other end
}

// Flows asks for the flow log.
func (c *Client) Flows(ctx context.Context, r FlowsRequest) (*FlowsResponse, error) {
	return call[FlowsResponse](ctx, c, PathFlows, r)
}
