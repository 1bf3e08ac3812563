package filter

// meters holds the meters that flows have begun to count in, found through open
// addressing with linear probing. Which there can be is for the map to say: a source
// is a person or a machine of it, so no peer can make more of them by its packets.
type meters struct {
	seed  seed
	slots []int32 // number of a meter + 1; 0: empty
	all   []meter
	free  []int32 // numbers to use again
	max   int
}

const (
	noMeter    = -1
	firstSpots = 64
)

func (t *meters) count() int { return len(t.all) - len(t.free) }

// find gives the number of the meter with a key, or noMeter.
func (t *meters) find(k meterKey) int32 {
	if len(t.slots) == 0 {
		return noMeter
	}
	return t.slots[t.spot(k)] - 1
}

// spot is the slot of a key, or the empty one where it would be.
func (t *meters) spot(k meterKey) uint64 {
	mask := uint64(len(t.slots) - 1)
	i := fold(k.rule^t.seed[0], k.source^t.seed[1]) & mask
	for t.slots[i] != 0 && t.all[t.slots[i]-1].key != k {
		i = (i + 1) & mask
	}
	return i
}

// full reports whether a key that has no meter gets none.
func (t *meters) full() bool { return t.count() >= t.max }

// of gives the number of the meter with a key, which may be a new one; noMeter if
// there is no room for it.
func (t *meters) of(k meterKey, tag uint32, l limit) int32 {
	if n := t.find(k); n != noMeter {
		return n
	}
	if t.full() {
		return noMeter
	}
	if (t.count()+1)*2 > len(t.slots) {
		t.place(max(firstSpots, 2*len(t.slots)))
	}
	n := int32(len(t.all))
	if last := len(t.free) - 1; last >= 0 {
		n = t.free[last]
		t.free = t.free[:last]
	} else {
		t.all = append(t.all, meter{})
	}
	t.all[n] = meter{key: k, tag: tag, end: never}
	t.all[n].obey(l)
	t.slots[t.spot(k)] = n + 1
	return n
}

// place puts all meters into so many slots.
func (t *meters) place(slots int) {
	t.slots = make([]int32, slots)
	t.index()
}

func (t *meters) index() {
	for n := range t.all {
		if k := t.all[n].key; k != (meterKey{}) {
			t.slots[t.spot(k)] = int32(n) + 1
		}
	}
}

// heed has the meters obey the limits of a table's rules. A window that became
// shorter ends sooner, one that became longer when it would have.
func (t *meters) heed(rules []rule, now int64) {
	if len(t.all) == 0 {
		return
	}
	limits := make(map[uint64]limit)
	for i := range rules {
		if r := &rules[i]; r.limit.window != 0 {
			limits[r.hash] = r.limit
		}
	}
	for n := range t.all {
		m := &t.all[n]
		if l, ok := limits[m.key.rule]; ok && l != m.limit {
			m.end = min(m.end, windowEnd(now, l.window))
			m.obey(l)
		}
	}
}

// sweep forgets the meters whose window is over and that no flow counts in.
func (t *meters) sweep(now int64) {
	gone := false
	for n := range t.all {
		if m := &t.all[n]; m.key != (meterKey{}) && m.flows == 0 && now >= m.end {
			*m = meter{}
			t.free = append(t.free, int32(n))
			gone = true
		}
	}
	if gone {
		clear(t.slots)
		t.index()
	}
}
