package transport_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestPeerThatIsHeardIsAskedLess sends both ways, then one way: a path on which
// nothing comes back is asked sooner.
func TestPeerThatIsHeardIsAskedLess(t *testing.T) {
	for _, tt := range []struct {
		both bool
		want [2]int // requests in 10 s
	}{{true, [2]int{9, 13}}, {false, [2]int{35, 45}}} {
		bubble(t, func(t *testing.T, p *pair) {
			p.send(t, initiation(1))
			time.Sleep(3 * time.Second)
			toA, err := p.b.Bind().ParseEndpoint("cordon:a")
			if err != nil {
				t.Fatal(err)
			}
			before := p.small()
			for range 500 {
				p.send(t, data(1))
				if tt.both {
					if err := p.b.Bind().Send([][]byte{data(2)}, toA); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(20 * time.Millisecond)
			}
			synctest.Wait()
			if n := p.small() - before; n < tt.want[0] || n > tt.want[1] {
				t.Errorf("both ways %v: %d requests in 10 s, want %v", tt.both, n, tt.want)
			}
		})
	}
}

// small counts a's requests that are not padded.
func (p *pair) small() (n int) {
	for _, s := range p.net.requests(p.bindA.addr) {
		if len(s.data) < 100 {
			n++
		}
	}
	return n
}

func TestPaddedProbesFindTheMTU(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		p.send(t, initiation(1))
		time.Sleep(time.Second)
		if in := p.a.Paths()["b"]; in.MTU != 1472 {
			t.Errorf("info = %+v", in)
		}
	})
}
