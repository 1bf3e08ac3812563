package signin

// Kept tells how much a desk keeps, in all its tables.
func (d *Desk) Kept() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.book
	n := len(b.ids) + len(b.states) + len(b.nodes) + len(b.operators)
	for _, p := range []*pool{b.logins, b.joins} {
		n += len(p.all) + len(p.froms)
	}
	return n
}
