package registry

import (
	"hash/maphash"
	"iter"
	"maps"
)

// shards is chosen for the 10,000 nodes that a mesh may have: a change copies
// 256 pointers and one shard of about 40 entries, some microseconds in all.
const shards = 256

// table is a map that is never changed: With and Without give another one that
// shares all but one shard. The zero table is empty and ready for use.
type table[K comparable, V any] struct {
	seed   maphash.Seed // of this table and all that derive from it
	shards *[shards]map[K]V
	len    int
}

func (t table[K, V]) shard(k K) int { return int(maphash.Comparable(t.seed, k) % shards) }

// Get gives the value of k.
func (t table[K, V]) Get(k K) (v V, ok bool) {
	if t.shards == nil {
		return v, false
	}
	v, ok = t.shards[t.shard(k)][k]
	return v, ok
}

// Len counts the entries.
func (t table[K, V]) Len() int { return t.len }

// With gives the table in which k has the value v.
func (t table[K, V]) With(k K, v V) table[K, V] {
	if t.shards == nil {
		t.seed, t.shards = maphash.MakeSeed(), new([shards]map[K]V)
	}
	i := t.shard(k)
	if _, known := t.shards[i][k]; !known {
		t.len++
	}
	fresh := make(map[K]V, len(t.shards[i])+1)
	maps.Copy(fresh, t.shards[i])
	fresh[k] = v
	return t.replace(i, fresh)
}

// Without gives the table in which k has no value.
func (t table[K, V]) Without(k K) table[K, V] {
	if _, known := t.Get(k); !known {
		return t
	}
	i := t.shard(k)
	fresh := maps.Clone(t.shards[i])
	delete(fresh, k)
	t.len--
	return t.replace(i, fresh)
}

func (t table[K, V]) replace(i int, shard map[K]V) table[K, V] {
	all := *t.shards
	all[i] = shard
	t.shards = &all
	return t
}

// All gives every entry, in no order.
func (t table[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if t.shards == nil {
			return
		}
		for _, shard := range t.shards {
			for k, v := range shard {
				if !yield(k, v) {
					return
				}
			}
		}
	}
}

// Values gives every value, in no order.
func (t table[K, V]) Values() iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, v := range t.All() {
			if !yield(v) {
				return
			}
		}
	}
}
