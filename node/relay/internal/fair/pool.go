package fair

import "sync"

// Frame is a buffer of a [Pool]. Whoever holds it alone may use Bytes.
type Frame struct {
	Bytes []byte
	next  *Frame
	class int
}

// Pool gives out buffers in a few sizes and takes them back: connections that
// are idle hold none. The zero value is ready, and safe for concurrent use.
type Pool struct{ classes [3]sync.Pool }

// sizes of buffers: a small packet, a full one, and the largest.
const (
	small  = 256
	medium = 2 << 10
	large  = 4 + 32 + 64<<10
)

// Largest is the longest frame that a Pool has a buffer for, in bytes.
const Largest = large

func sizeOf(class int) int { return [...]int{small, medium, large}[class] }

// Get gives a frame of n bytes, whose content is left from others: fill all of
// it. It panics above Largest, which is a bug.
func (p *Pool) Get(n int) *Frame {
	class := 0
	for n > sizeOf(class) {
		class++
	}
	f, ok := p.classes[class].Get().(*Frame)
	if !ok {
		f = &Frame{Bytes: make([]byte, sizeOf(class)), class: class}
	}
	f.Bytes = f.Bytes[:n]
	return f
}

// Put takes f back. Nobody uses it from here on.
func (p *Pool) Put(f *Frame) {
	f.next, f.Bytes = nil, f.Bytes[:cap(f.Bytes)]
	p.classes[f.class].Put(f)
}
