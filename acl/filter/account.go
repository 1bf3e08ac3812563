package filter

import (
	"math"
	"time"
)

// account is what one peer uses of the flow table. Its flows stand in a list,
// the longest untouched by us at the head: a peer that fills its share pushes
// out its own flows, never those of another.
type account struct {
	head, tail int32
	count      int
}

// ledger holds the accounts. A peer keeps its account over every revision.
type ledger struct {
	accounts []account
	most     int // flows of one peer
}

const (
	examined     = 8  // entries looked at to find the one to give up
	examinedMost = 64 // if those are all in use

	// restful is how long an open flow must have been silent to be given up for
	// a new one. It is less than any retransmission that still hopes.
	restful = int64(10 * time.Second)
)

func (l *ledger) open() int32 {
	l.accounts = append(l.accounts, account{head: noFlow, tail: noFlow})
	return int32(len(l.accounts) - 1)
}

// link puts flow n at the tail of the account's list.
func (f *Filter) link(n, to int32) {
	a, fl := &f.ledger.accounts[to], f.flows.at(n)
	fl.account, fl.prev, fl.next = to, a.tail, noFlow
	if a.tail == noFlow {
		a.head = n
	} else {
		f.flows.at(a.tail).next = n
	}
	a.tail = n
	a.count++
}

// unlink takes flow n out of its account's list.
func (f *Filter) unlink(n int32) {
	fl := f.flows.at(n)
	a := &f.ledger.accounts[fl.account]
	if fl.prev == noFlow {
		a.head = fl.next
	} else {
		f.flows.at(fl.prev).next = fl.next
	}
	if fl.next == noFlow {
		a.tail = fl.prev
	} else {
		f.flows.at(fl.next).prev = fl.prev
	}
	a.count--
}

// room makes room for one more flow of an account. It reports false if all the
// account's flows that it looked at are in use: they go before a new one.
func (f *Filter) room(of int32) bool {
	if f.ledger.accounts[of].count >= f.ledger.most {
		return f.evict(of, false)
	}
	if f.flows.count < f.flows.max {
		return true
	}
	heavy := f.heaviest(of)
	return f.evict(heavy, heavy != of)
}

// heaviest finds the account that holds most of the table, by a sample: one
// that holds much of it is soon met. Nobody who holds less than the asking
// account has to give way to it.
func (f *Filter) heaviest(asking int32) int32 {
	heavy := asking
	for range examined {
		f.dice = f.dice*6364136223846793005 + 1442695040888963407
		n := int32((f.dice >> 33) % uint64(f.flows.used))
		fl := f.flows.at(n)
		if fl.word != 0 && f.ledger.accounts[fl.account].count > f.ledger.accounts[heavy].count {
			heavy = fl.account
		}
	}
	return heavy
}

// evict gives up one flow of the account: of those at the head of its list the
// one that is worth least. Those that are in use go to the tail and are not met
// again soon.
func (f *Filter) evict(from int32, force bool) bool {
	a := &f.ledger.accounts[from]
	victim, least := int32(noFlow), worthUse
	if force {
		least = worthMost
	}
	n := a.head
	for i := range min(examinedMost, a.count) {
		if i >= examined && victim != noFlow {
			break
		}
		next := f.flows.at(n).next
		if w := f.worth(f.flows.at(n)); w < least {
			victim, least = n, w
		}
		f.unlink(n)
		f.link(n, from)
		n = next
	}
	if victim == noFlow {
		return false
	}
	f.finish(victim, endEvicted)
	return true
}

// worth orders flows by how much is lost with them. Flows that are in use are
// worth worthUse and more, the more the later they were used.
func (f *Filter) worth(fl *flow) int64 {
	now, last := f.now.Boot, fl.last()
	switch {
	case fl.state == revoked, now >= fl.idle:
		return 0
	case fl.state != open:
		return 1
	case now-last > restful:
		return 2 + (worthUse-3)/(now-last)
	}
	return worthUse + last - (now - restful)
}

const (
	worthUse  = int64(1) << 40
	worthMost = int64(math.MaxInt64)
)
