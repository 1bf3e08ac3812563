package filter

import "github.com/cordonmesh/cordon/acl/packet"

// hosts finds the homes of addresses by open addressing with linear probing. A
// quarter of it is empty at least. Its hash needs no secret, unlike that of the
// flows: the map alone says who is in it, and who asks can only ask for the worst.
type hosts struct {
	slots []host // a power of two of them
	count int
}

type host struct {
	addr packet.Addr
	home int32 // plus 1; 0: empty
}

const firstHosts = 16

// put enters the home of an address that has none yet.
func (t *hosts) put(a packet.Addr, home int32) {
	if (t.count+1)*4 > len(t.slots)*3 {
		old := t.slots
		t.slots = make([]host, max(firstHosts, 2*len(old)))
		for _, h := range old {
			if h.home != 0 {
				t.slots[t.place(h.addr)] = h
			}
		}
	}
	t.slots[t.place(a)] = host{a, home + 1}
	t.count++
}

// find gives the home of an address, or false.
func (t *hosts) find(a packet.Addr) (home int32, ok bool) {
	if t.count == 0 {
		return 0, false
	}
	h := &t.slots[t.place(a)]
	return h.home - 1, h.home != 0
}

// place is the slot of an address, or the empty one where it would be.
func (t *hosts) place(a packet.Addr) uint64 {
	hi, lo := a.Words()
	h, mask := fold(hi^0x9E3779B97F4A7C15, lo^0xD6E8FEB86659FD93), uint64(len(t.slots)-1)
	i := (h ^ h>>32) & mask
	for t.slots[i].home != 0 && t.slots[i].addr != a {
		i = (i + 1) & mask
	}
	return i
}
