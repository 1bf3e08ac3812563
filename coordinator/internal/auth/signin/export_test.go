package signin

// Kept tells how much a desk keeps, in all its tables.
func (d *Desk) Kept() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.book
	return len(b.all) + len(b.ids) + len(b.states) + len(b.nodes) + len(b.froms) + len(b.operators)
}
