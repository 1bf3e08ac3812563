//go:build linux

package main

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

// Packet sizes inside the tunnels: ours as it ships, and what bare WireGuard
// takes where nobody says otherwise.
const (
	ourMTU  = 1280
	bareMTU = 1420
)

// side is one of the tunnels that are compared.
type side struct {
	name          string
	link          link
	rate, cost    map[int]samples // by the number of streams: Gbit/s, CPU seconds per gigabyte
	delay, packet samples         // microseconds of a round trip; datagrams per second, both ways
}

// throughput: a tunnel with the filter on beside bare wireguard-go with packets
// of the same size, in turns, between the same two namespaces.
func (b *bench) throughput() error {
	return b.inLab("throughput", func(t lab.T) {
		l := lab.Up(t, onlyIPv4(lab.Segment("hub", "ward", "ehr")))
		ward, ehr := l.Host("ward"), l.Host("ehr")
		sides := []*side{
			{name: "bare", link: bareTunnel(t, l, ward, ehr, 1, ourMTU)},
			{name: "ours", link: ourTunnel(t, l, l.Host("hub"), ward, ehr)},
			{name: "bare with packets of 1420", link: bareTunnel(t, l, ward, ehr, 2, bareMTU)},
		}
		any4 := netip.IPv4Unspecified()
		sink := ehr.ServeSink(netip.AddrPortFrom(any4, sinkPort))
		ehr.EchoUDP(netip.AddrPortFrom(any4, echoPort))
		for _, s := range sides {
			s.rate, s.cost = map[int]samples{}, map[int]samples{}
			must(t, s.delays(t, 50)) // the first handshake
			s.delay = nil
		}
		length := pick(b, 1500*time.Millisecond, time.Second)
		for i := range pick(b, 15, 3) {
			for _, s := range inTurn(sides, i) {
				must(t, s.stream(t, sink, 1, length))
			}
		}
		for i := range pick(b, 8, 3) {
			for _, s := range inTurn(sides[:2], i) {
				must(t, s.stream(t, sink, 4, length))
				must(t, s.delays(t, 500))
				must(t, s.exchange(t, time.Second))
			}
		}
		b.throughputRows(sides[0], sides[1], sides[2])
	})
}

// onlyIPv4 takes the other addresses out: both kinds of tunnel run over the same.
func onlyIPv4(top lab.Topology) lab.Topology {
	for _, m := range top.Machines {
		for i, link := range m.Links {
			m.Links[i].Addresses = slices.DeleteFunc(link.Addresses, func(a string) bool { return strings.Contains(a, ":") })
		}
	}
	return top
}

// must ends the measurement on an error.
func must(t lab.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// inTurn gives the sides in an order that lets each be first as often as last.
func inTurn(sides []*side, round int) []*side {
	if round%2 == 0 {
		return sides
	}
	out := make([]*side, 0, len(sides))
	for i := range sides {
		out = append(out, sides[len(sides)-1-i])
	}
	return out
}

func (s *side) stream(t lab.T, sink *lab.Sink, streams int, length time.Duration) error {
	m, err := s.link.move(t, sink, streams, length, math.MaxInt64)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.rate[streams] = append(s.rate[streams], m.gigabits())
	s.cost[streams] = append(s.cost[streams], m.cpuPerGigabyte())
	return nil
}

func (s *side) delays(t lab.T, count int) error {
	took, err := s.link.roundTrips(t, count)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.delay.add(took.median())
	return nil
}

func (s *side) exchange(t lab.T, length time.Duration) error {
	rate, err := s.link.exchange(t, length)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.packet.add(rate)
	return nil
}

func (b *bench) throughputRows(bare, ours, large *side) {
	for _, streams := range []int{1, 4} {
		of := map[int]string{1: "1 TCP stream", 4: "4 TCP streams"}[streams]
		b.results.add(
			ratios(ours.rate[streams], bare.rate[streams]).middle("rate, ours to bare, "+of, "x", atLeast(0.97)),
			ratios(bare.cost[streams], ours.cost[streams]).middle("bytes per CPU second, ours to bare, "+of, "x", nil),
			ours.rate[streams].middle("rate, ours, "+of, "Gbit/s", nil),
			bare.rate[streams].middle("rate, bare, "+of, "Gbit/s", nil),
			ours.cost[streams].middle("CPU per gigabyte, both ends, ours, "+of, "s", nil),
			bare.cost[streams].middle("CPU per gigabyte, both ends, bare, "+of, "s", nil),
		)
	}
	b.results.add(
		large.rate[1].middle("rate, bare with packets of 1420, 1 TCP stream", "Gbit/s", nil),
		ratios(ours.delay, bare.delay).middle("round trip, ours to bare", "x", nil),
		ours.delay.middle("round trip, ours", "us", nil),
		bare.delay.middle("round trip, bare", "us", nil),
		ratios(ours.packet, bare.packet).middle("small datagrams, ours to bare", "x", nil),
		ours.packet.middle("small datagrams there and back, ours", "1/s", nil),
		bare.packet.middle("small datagrams there and back, bare", "1/s", nil),
	)
}
