package signin

// Kept tells how much a desk keeps, in all its tables.
func (d *Desk) Kept() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.book
	n := len(b.ids) + len(b.states) + len(b.nodes)
	for _, l := range []*lobby{b.joins, b.operators} {
		n += len(l.all)
		for _, p := range []*pool{l.waiting, l.strangers, l.known} {
			n += len(p.all) + len(p.of)
		}
	}
	return n + len(b.logins.all) + len(b.logins.of)
}

// Narrow makes a desk small for who comes from outside: for so many who wait, of one
// address a quarter, and so many strangers at their pages.
func (d *Desk) Narrow(waiting, strangers int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range []*lobby{d.book.joins, d.book.operators} {
		l.waiting.bounds = bounds{waiting, waiting / 4}
		l.strangers.bounds.inAll = strangers
	}
}
