package compile

import "github.com/cordonmesh/cordon/acl"

// cell is some of the classes at one side of a part: those for which it has the
// same grounds.
type cell struct {
	groundKey // of which a source knows human, and a destination into
	nums      []acl.Class
}

// split sorts classes into cells, which it adds to others.
func split(cells []cell, nums []acl.Class, keyOf func(acl.Class) groundKey) []cell {
	if len(nums) == 1 { // as of most nodes
		return append(cells, cell{keyOf(nums[0]), nums})
	}
	at := make(map[groundKey]int)
	for _, num := range nums {
		key := keyOf(num)
		i, ok := at[key]
		if !ok {
			i = len(cells)
			at[key] = i
			cells = append(cells, cell{groundKey: key})
		}
		cells[i].nums = append(cells[i].nums, num)
	}
	return cells
}

// sources splits classes at the source of a part into cells, which it adds to others.
func (m *Mesh) sources(cells []cell, p *part, nums []acl.Class) []cell {
	if !p.splits {
		return append(cells, cell{groundKey{human: p.person != ""}, nums})
	}
	return split(cells, nums, func(num acl.Class) groundKey { return groundKey{human: m.byNum[num].human} })
}

// destinations does so at the destination. What is forbidden is so in every segment.
func (m *Mesh) destinations(cells []cell, p *part, nums []acl.Class) []cell {
	if len(m.book.segments) == 0 || p.forbid {
		return append(cells, cell{nums: nums})
	}
	return split(cells, nums, func(num acl.Class) groundKey { return groundKey{into: m.byNum[num].zone} })
}

// allSources and allDestinations split all classes that match a part now.
func (m *Mesh) allSources(p *part) []cell {
	list := p.srcClasses
	if !p.splits {
		return m.sources(nil, p, list.nums)
	}
	if list.cells == nil {
		list.cells = m.sources(nil, p, list.nums)
	}
	return list.cells
}

func (m *Mesh) allDestinations(p *part) []cell {
	list := p.dstClasses
	if len(m.book.segments) > 0 && p.forbid { // unlike other parts with the same classes
		return m.destinations(nil, p, list.nums)
	}
	if list.cells == nil {
		list.cells = m.destinations(nil, p, list.nums)
	}
	return list.cells
}
