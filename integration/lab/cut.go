//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"strings"
)

// Cut drops, without a word to anybody, all that the host sends to, receives
// from or forwards for the given addresses: a partition. It replaces the cut
// before it, and without addresses it heals.
func (h *Host) Cut(from ...netip.Addr) {
	h.lab.t.Helper()
	h.NFT(CutScript(from...))
}

// CutScript is the nftables script of Cut, for machines that begin with it.
func CutScript(from ...netip.Addr) string {
	var b strings.Builder
	// Declared before it is deleted, so that the first cut finds one to delete.
	b.WriteString("table inet lab_cut\ndelete table inet lab_cut\n")
	if len(from) == 0 {
		return b.String()
	}
	b.WriteString("table inet lab_cut {\n")
	for _, hook := range []string{"input", "output", "forward"} {
		fmt.Fprintf(&b, "chain %s {\n type filter hook %s priority -300; policy accept;\n", hook, hook)
		for _, a := range from {
			family := "ip"
			if a.Is6() {
				family = "ip6"
			}
			fmt.Fprintf(&b, " %s saddr %s drop\n %s daddr %s drop\n", family, a, family, a)
		}
		b.WriteString("}\n")
	}
	b.WriteString("}\n")
	return b.String()
}
