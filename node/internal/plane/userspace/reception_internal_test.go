package userspace

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/blake2s"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// addressed is a message that has the size and type of an initiation, and a first
// MAC for the key; all else is zero.
func addressed(t testing.TB, to key.TunnelPublic) []byte {
	t.Helper()
	b, public := make([]byte, device.MessageInitiationSize), to.Raw()
	b[0] = device.MessageInitiationType
	k := blake2s.Sum256(append([]byte(device.WGLabelMAC1), public[:]...))
	mac, err := blake2s.New128(k[:])
	if err != nil {
		t.Fatal(err)
	}
	mac.Write(b[:mac1At])
	copy(b[mac1At:], mac.Sum(nil))
	return b
}

func openerOf(t testing.TB, k *key.TunnelPrivate) *opener {
	t.Helper()
	o, err := newOpener(k)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// What reading may cost is bounded in each second; what is beyond, what is not for
// us, and what finds no room is left to wireguard-go.
func TestReceptionTakesNoMoreThanItMayRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, other := key.NewTunnel(), key.NewTunnel()
		ours, theirs := addressed(t, k.Public()), addressed(t, other.Public())
		r := newReception()
		flood := func() (taken int) {
			for range 2 * readPerSecond {
				if r.take(ours, nil) {
					<-r.came
					taken++
				}
			}
			return taken
		}
		if n := flood(); n != 0 {
			t.Errorf("%d were taken without a key", n)
		}
		r.opener.Store(openerOf(t, &k))
		for range 2 * readPerSecond {
			if r.take(theirs, nil) || r.take(ours[:147], nil) {
				t.Fatal("one for another node was taken, or half of one")
			}
		}
		if n := flood(); n != readPerSecond {
			t.Errorf("%d were taken in a second, want %d", n, readPerSecond)
		}
		time.Sleep(time.Second)
		taken := 0
		for range 2 * receptionSize {
			if r.take(ours, nil) {
				taken++
			}
		}
		if taken != receptionSize {
			t.Errorf("%d were taken where %d have room", taken, receptionSize)
		}
	})
}

// Strangers are kept in number and in time, the latest longest.
func TestStrangersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReception()
		for i := range 100 {
			r.keep(initiation{at: time.Now(), data: [device.MessageInitiationSize]byte{byte(i)}})
			time.Sleep(500 * time.Millisecond)
		}
		if got := r.again(); len(got) != 8 || got[7].data[0] != 99 {
			t.Errorf("%d are worth another look, want those of the last 4 s", len(got))
		}
		for range 100 {
			r.keep(initiation{at: time.Now()})
		}
		if got := r.again(); len(got) != strangersKept || len(r.again()) != 0 {
			t.Errorf("%d are kept, want %d, and none twice", len(got), strangersKept)
		}
	})
}

func TestReceptionEndsWithTheBind(t *testing.T) {
	r := newReception()
	r.close() // wireguard-go closes a bind before it opens it
	receive := r.open()
	bufs, sizes, from := [][]byte{make([]byte, 2048)}, make([]int, 1), make([]conn.Endpoint, 1)
	r.pass(initiation{})
	if n, err := receive(bufs, sizes, from); n != 1 || sizes[0] != device.MessageInitiationSize || err != nil {
		t.Errorf("received %d of %d bytes, %v; want one initiation", n, sizes[0], err)
	}
	r.close()
	r.close()
	if _, err := receive(bufs, sizes, from); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %v, want %v", err, net.ErrClosed)
	}
}

// FuzzInitiation: no bytes but a peer's own prove anything, or end the program.
func FuzzInitiation(f *testing.F) {
	k := key.NewTunnel()
	o := openerOf(f, &k)
	f.Add(addressed(f, k.Public()))
	f.Add(make([]byte, device.MessageInitiationSize))
	f.Add([]byte{device.MessageInitiationType})
	f.Fuzz(func(t *testing.T, b []byte) {
		if !isInitiation(b) {
			return
		}
		if c, ok := o.read(b); ok {
			if _, ok := o.prove(&c); ok {
				t.Errorf("%x proves to be by %s", b, c.by)
			}
		}
	})
}
