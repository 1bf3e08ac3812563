package policy

import (
	"time"

	"github.com/cordonmesh/cordon/acl"
)

// Segment is a protect surface (NIST SP 800-207 section 2): what belongs together, is owned by
// somebody, and is worth so much.
type Segment struct {
	Name     string // "seg:ehr"
	Pos      Position
	Members  []Selector // tags, hosts, addresses and ipsets; never empty
	Class    string     // of the data: "phi", "pci", "internal", "public" or "synthetic"; or what the hospital calls it
	Impact   string     // of a failure: "life", "clinical", "business" or "none"
	Owner    Selector   // who answers for it
	Requires When       // a floor: a condition of every rule by which people come in

	// Offline is how long rules into it live on without a word from the
	// coordinator. Zero means as long as any rule does.
	Offline time.Duration
	Lapses  bool // also those with a human condition do, and all end then

	Log     acl.LogLevel // of flows into it, if a rule says nothing
	LogSet  bool
	Monitor time.Time // until then, what no rule opens passes and is recorded; zero: never
}
