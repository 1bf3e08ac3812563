package distribute

import "time"

// maxFlight is how many bytes may wait for sockets before another map of
// megabytes is made. A thousand nodes that each need one after a restart are
// served as fast as they read, not all at once.
const maxFlight = 64 << 20

// patience is how long a batch counts. A node that reads slower gets what it got
// all the same, until its socket's deadline, but keeps nobody waiting for it.
const patience = time.Second

// flight counts what is on its way to sockets.
type flight struct {
	most  int
	bytes int
	round int
	lapse <-chan time.Time // set while somebody waits
}

// full tells whether what is under way, and in the post, is enough.
func (f *flight) full(p *post) bool { return f.bytes+p.bytes >= f.most }

func (f *flight) start(s *stream, weight int) {
	s.weight, s.round = weight, f.round
	f.bytes += weight
}

func (f *flight) land(s *stream) {
	if s.round == f.round {
		f.bytes -= s.weight
	}
	s.weight = 0
}

// forget lets those wait no longer who wait for a slow reader.
func (f *flight) forget() {
	f.bytes, f.lapse = 0, nil
	f.round++
}

// watch has it forgotten in a while what is under way now.
func (f *flight) watch() {
	if f.lapse == nil {
		f.lapse = time.After(patience)
	}
}
