package policy

import "time"

// Drains is how long what has ended may go on at most, by any rule.
func (p *Policy) Drains() (longest time.Duration) {
	if p == nil {
		return 0
	}
	for i := range p.rules {
		longest = max(longest, p.rules[i].OnExpiry.Drain)
	}
	return longest
}
