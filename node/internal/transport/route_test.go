package transport_test

import (
	"bytes"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestKernelRefusalIsProbedAtOnceAndNotPerDatagram(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		p.send(t, initiation(1))
		time.Sleep(1500 * time.Millisecond) // busy no more, and the last answer is fresh
		synctest.Wait()
		p.net.setFail(func(wireguard, _ bool) error {
			if wireguard {
				return syscall.ENETUNREACH
			}
			return nil
		})
		before := p.net.probes()
		for range 1000 {
			if err := p.a.Bind().Send([][]byte{data(1)}, p.toB); !errors.Is(err, syscall.ENETUNREACH) {
				t.Fatalf("err = %v", err)
			}
			synctest.Wait()
		}
		if n := p.net.probes() - before; n < 2 || n > 4 {
			t.Errorf("%d probes and answers for 1,000 refused datagrams, want one each way", n)
		}
		p.net.setFail(nil)
		p.send(t, data(2))
		synctest.Wait()
		if got := p.received(); !bytes.Equal(got[len(got)-1], data(2)) {
			t.Error("path did not come back")
		}
	})
}

func TestLocalAddressThatIsGoneLosesNoDatagram(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		p.send(t, initiation(1))
		synctest.Wait()
		p.net.setFail(func(_, sticky bool) error {
			if sticky {
				return syscall.EINVAL
			}
			return nil
		})
		p.send(t, data(2))
		synctest.Wait()
		if got := p.received(); !bytes.Equal(got[len(got)-1], data(2)) {
			t.Error("the datagram is lost")
		}
	})
}

func TestLocalAddressIsKeptUntilTheNetworkChanges(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		sticky := func(what string, want bool) {
			t.Helper()
			p.send(t, data(1))
			if got := last(p.net.wireguard()).sticky; got != want {
				t.Errorf("%s: datagram keeps the local address: %v, want %v", what, got, want)
			}
		}
		p.send(t, initiation(1))
		synctest.Wait()
		sticky("after the path was found", true)
		time.Sleep(300 * time.Millisecond)
		p.net.setCut(true)
		p.a.NetworkChanged()
		synctest.Wait()
		for range 4 { // and in every repetition of the probe
			if last(p.net.requests(p.bindA.addr)).sticky {
				t.Error("probe keeps the local address in a changed network")
			}
			time.Sleep(160 * time.Millisecond)
		}
		sticky("after the network changed", false)
		p.net.setCut(false)
		time.Sleep(time.Second)
		synctest.Wait()
		sticky("after an answer", true)
		p.toB.ClearSrc()
		sticky("after WireGuard asked to forget it", false)
	})
}

func TestUnansweredProbeIsRepeatedByAnotherLocalAddress(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		p.send(t, initiation(1))
		synctest.Wait()
		p.net.setCut(true)
		before := p.net.requests(p.bindA.addr)
		time.Sleep(1500 * time.Millisecond)
		seen := map[bool]int{}
		for _, r := range p.net.requests(p.bindA.addr)[len(before):] {
			seen[r.sticky]++
		}
		if seen[true] == 0 || seen[false] == 0 {
			t.Errorf("probes with and without the local address: %v, want both", seen)
		}
	})
}

func last(all []sent) sent { return all[len(all)-1] }
