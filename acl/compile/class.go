package compile

import (
	"encoding/binary"
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// class is a set of prefixes with one signature.
type class struct {
	num  acl.Class
	key  string
	sign []selector // never empty

	human  bool  // devices of people
	beyond bool  // behind gateways, where that matters to a rule
	zone   *zone // of the segments that it is in

	asSrc, asDst []int32 // indexes of the parts that it matches, ascending

	entries  int        // prefixes in it
	linked   bool       // the parts list it
	profiles []*profile // whose nodes have it, or have it behind them
	seated   []*profile // whose nodes have it at seats alone
	mark     uint64
	stained  [2]uint64 // by way: the turn in which its profiles were found stale
}

// classFor gives the class of a signature, nil for the empty one.
func (m *Mesh) classFor(sign []selector) *class {
	if len(sign) == 0 {
		return nil
	}
	key := signKey(sign)
	if c, ok := m.classes[key]; ok {
		return c
	}
	c := m.newClass(key, sign)
	m.classes[c.key], m.byNum[c.num] = c, c
	return c
}

// newClass makes the class of a signature, of which the mesh knows nothing yet.
func (m *Mesh) newClass(key string, sign []selector) *class {
	c := &class{key: key, sign: slices.Clone(sign), num: m.book.numberOf(sign)}
	if m.room.spend(howMany(sign, m.book.asSrc) + howMany(sign, m.book.asDst)); !m.room.over() {
		c.asSrc, c.asDst = partsOf(sign, m.book.asSrc), partsOf(sign, m.book.asDst)
	}
	c.human, c.beyond, c.zone = has(sign, m.book.member), has(sign, m.book.beyond), m.book.zoneOf(sign)
	if m.book.farther && !c.beyond {
		c.asSrc = slices.DeleteFunc(slices.Clone(c.asSrc), func(at int32) bool { return m.book.parts[at].rule.Beyond })
	}
	return c
}

// numberOf gives the number of the class of a signature: that of its selectors' texts, and
// so the same in every book.
func (b *book) numberOf(sign []selector) acl.Class {
	var short [256]byte
	text := short[:0]
	for i, id := range sign {
		if i > 0 {
			text = append(text, '\n')
		}
		text = append(text, b.texts[id]...)
	}
	return acl.Class(hash64(text))
}

func howMany(sign []selector, by [][]int32) (n int) {
	for _, id := range sign {
		n += len(by[id])
	}
	return n
}

// partsOf joins the parts that selectors open. Those of one selector are the book's own
// list: a hundred thousand addresses under thousands of rules from * share it.
func partsOf(sign []selector, by [][]int32) []int32 {
	var one []int32
	lists := 0
	for _, id := range sign {
		if len(by[id]) > 0 {
			one = by[id]
			lists++
		}
	}
	if lists < 2 {
		return one
	}
	all := make([]int32, 0, howMany(sign, by))
	for _, id := range sign {
		all = append(all, by[id]...)
	}
	return sortedSet(all)
}

// signKey gives a set of selectors as a map's key.
func signKey(ids []selector) string {
	return string(appendSign(make([]byte, 0, 4*len(ids)), ids))
}

func appendSign(key []byte, ids []selector) []byte {
	for _, id := range ids {
		key = binary.BigEndian.AppendUint32(key, uint32(id))
	}
	return key
}
