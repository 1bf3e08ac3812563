package userspace

// logDrains tells once of each flow that its right ended while it is open.
func (p *Plane) logDrains() {
	began, more := p.filter.Drained()
	for _, e := range began {
		p.log.Warn("a right has ended (a login, an approval or a rule's time): open connections go on for a while, new ones are refused",
			"until", e.Cut, "to", e.Dst, "protocol", int(e.Protocol), "peer", e.Peer, "flows", e.Flows, "rule", e.Verdict.Rule, "why", e.Verdict.Reason)
	}
	if more > 0 {
		p.log.Warn("more flows lost their right, and go on for a while as well", "flows", more)
	}
}

// logExcesses tells once of each limit in each of its windows who has exceeded it.
func (p *Plane) logExcesses() {
	told, more := p.filter.Exceeded()
	for _, e := range told {
		p.log.Warn("a rule's limit is exceeded", "rule", e.Rule, "onExceed", e.OnExceed, "until", e.Until, "src", e.Src, "dst", e.Dst, "peer", e.Peer)
	}
	if more > 0 {
		p.log.Warn("more sources have exceeded a rule's limit", "sources", more)
	}
}
