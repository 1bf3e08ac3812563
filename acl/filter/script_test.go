package filter_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet"
)

// noon is when every script begins.
func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// script plays a text of testdata/verdicts against a filter. See README there.
type script struct {
	t      *testing.T
	f      *filter.Filter
	now    time.Time
	config filter.Config
	stack  map[netip.Addr]map[string]bool // by address of this machine: its connections
	kept   []byte                         // what drains, over a restart
}

func TestVerdicts(t *testing.T) {
	files, err := filepath.Glob("testdata/verdicts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{t: t, now: noon(), stack: map[netip.Addr]map[string]bool{}}
			s.restart()
			for i, line := range strings.Split(string(text), "\n") {
				line, _, _ = strings.Cut(line, "#")
				if strings.TrimSpace(line) == "" {
					continue
				}
				if err := s.do(line); err != nil {
					t.Errorf("%s:%d: %s\n\t%v", name, i+1, strings.TrimSpace(line), err)
				}
			}
		})
	}
}

// restart has a new filter, as a daemon has that starts.
func (s *script) restart() { s.f = newFilter(s.t, filter.Options{Stands: s.stands}) }

func newFilter(t testing.TB, o filter.Options) *filter.Filter {
	o.Seed = 1
	f, err := filter.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (s *script) do(line string) error {
	line, want, judged := strings.Cut(line, "=>")
	words := strings.Fields(line)
	var got string
	switch words[0] {
	case "self", "peer", "seat", "mesh", "rule", "forbid", "without":
		return s.configure(words)
	case "stack":
		s.stack[addr(words[1])] = map[string]bool{}
	case "stands":
		own, _ := host(words[2])
		s.stack[own][strings.Join(words[1:], " ")] = true
	case "load":
		s.config.Revision++
		t, err := filter.Compile(s.config)
		if err != nil {
			return err
		}
		s.f.Load(t)
	case "restart":
		s.restart()
	case "keep": // over a restart, as text that a disk could hold
		all := s.f.Draining(filter.At(s.now))
		s.kept, _ = json.Marshal(all)
		got = strconv.Itoa(len(all))
	case "resume":
		var kept []filter.Drain
		if err := json.Unmarshal(s.kept, &kept); err != nil {
			return err
		}
		s.f.DrainOn(kept)
	case "unload":
		s.f.Load(nil)
	case "at":
		d, err := time.ParseDuration(words[1])
		s.now = noon().Add(d)
		return err
	case "lease":
		s.f.Renew(s.now)
	case "sweep":
		s.f.Sweep(filter.At(s.now))
	case "flows":
		got = strconv.Itoa(s.f.Stats().Flows)
	case "records":
		got = s.records()
	case "exceeded":
		got = s.exceeded()
	case "refusals":
		got = s.refusals()
	case "ending":
		got = s.ending(words[1])
	case "drained":
		got = s.drained()
	case "explain":
		d := direction(words[1])
		proto, port := service(words[5])
		got = explained(s.f.Explain(filter.At(s.now), d, addr(words[2]), addr(words[4]), proto, port))
	case "in", "out":
		got = s.packet(direction(words[0]), build(words[1:]))
	default:
		return fmt.Errorf("unknown word %q", words[0])
	}
	if judged && got != strings.Join(strings.Fields(want), " ") {
		return fmt.Errorf("got  %s\n\twant %s", got, strings.TrimSpace(want))
	}
	if !judged && got != "" {
		return fmt.Errorf("nothing is expected of a verdict: %s", got)
	}
	return nil
}

// stands answers for the machine's stack, which has the addresses that the script says
// ("stack ADDRESS") and the connections that it says ("stands in|out OWN PEER").
func (s *script) stands(own, peer netip.AddrPort, begun filter.Direction) (stands, known bool) {
	connections, known := s.stack[own.Addr()]
	return connections[fmt.Sprint(begun, " ", own, " ", peer)], known
}

func (s *script) packet(d filter.Direction, b []byte) string {
	var p packet.Packet
	p.Parse(b)
	return verdict(judge(s.f, s.now, d, &p))
}

func judge(f *filter.Filter, now time.Time, d filter.Direction, p *packet.Packet) acl.Verdict {
	b := f.Begin(filter.At(now))
	defer b.End()
	if d == filter.In {
		return b.In(p)
	}
	return b.Out(p)
}

var reasonWords = map[acl.Reason]string{
	acl.NoRule: "no-rule", acl.Permitted: "permitted", acl.Established: "established", acl.UnknownPeer: "unknown-peer",
	acl.NotOurs: "not-ours", acl.Malformed: "malformed", acl.FactEnded: "fact-ended", acl.OutsideTime: "outside-time",
	acl.HoldEnded: "hold-ended", acl.NoFragment: "no-fragment", acl.NoMap: "no-map", acl.TableFull: "table-full",
	acl.Forbidden: "forbidden", acl.Monitored: "monitored", acl.LimitReached: "limit-reached", acl.Throttled: "throttled",
	acl.SeatCalled: "seat-called",
}

func explained(v acl.Verdict, until time.Time) string {
	if until.IsZero() {
		return verdict(v)
	}
	return verdict(v) + " until " + until.Format("15:04:05")
}

func verdict(v acl.Verdict) string {
	word := "deny"
	if v.Allow {
		word = "allow"
	}
	return strings.TrimSpace(word + " " + reasonWords[v.Reason] + " " + string(v.Rule))
}

// records gives the flow log since the last time, and begins a new one.
func (s *script) records() string {
	buf := make([]filter.Record, 100)
	n, _, _ := s.f.Records(0, buf)
	var out []string
	for _, r := range buf[:n] {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Kind, r.Direction, reasonWords[r.Verdict.Reason], r.Verdict.Rule)))
	}
	return strings.Join(out, ", ")
}

// exceeded tells which limits were exceeded since the last time.
func (s *script) exceeded() string {
	all, more := s.f.Exceeded()
	var out []string
	for _, e := range all {
		out = append(out, fmt.Sprintf("%s %s by %s until %s", e.OnExceed, e.Rule, e.Src, e.Until.Format("15:04:05")))
	}
	if more > 0 {
		out = append(out, fmt.Sprint("and more: ", more))
	}
	return strings.Join(out, ", ")
}

// refusals tells why packets were refused, the newest last.
func (s *script) refusals() string {
	var out []string
	for _, r := range s.f.Refusals() {
		text := fmt.Sprintf("%d %s %s", r.Count, reasonWords[r.Verdict.Reason], r.Verdict.Rule)
		if !r.Until.IsZero() {
			text += " until " + r.Until.Format("15:04:05")
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// configure reads one line about the map.
//
//	self PREFIX CLASS...      peer NAME PREFIX CLASS [owner=N] [fact=NAME:TIME]
//	seat self|NAME SESSION PREFIX CLASS... [fact=NAME:TIME]
//	rule ID in|out CLASS,... -> CLASS,... SERVICE,... [owner] [needs=FACT,...] [from=T] [to=T] [hold=T] [drain=T] [monitor] [feature=X] [log=off]
//	        [limit=bytes|flows:N:WINDOW:EXCEED]
//	forbid ID ...             as a rule, but it forbids
//	without rule ID           without peer NAME           without fact NAME           without seat SESSION
func (s *script) configure(words []string) error {
	c := &s.config
	switch words[0] {
	case "mesh":
		c.Mesh = append(c.Mesh, prefix(words[1]))
	case "self":
		party(&c.Self, words[1:])
	case "peer":
		party(s.party(words[1]), words[2:])
	case "seat":
		seat(s.party(words[1]), words[2], words[3:])
	case "rule", "forbid":
		s.rule(words)
	case "without":
		switch words[1] {
		case "rule":
			gone := func(r acl.Rule) bool { return string(r.ID) == words[2] }
			for _, rules := range []*[]acl.Rule{&c.Rules.In, &c.Rules.Out, &c.Rules.ForbidIn, &c.Rules.ForbidOut} {
				*rules = slices.DeleteFunc(slices.Clone(*rules), gone)
			}
		case "fact":
			for i := range c.Peers {
				c.Peers[i].Facts = slices.DeleteFunc(slices.Clone(c.Peers[i].Facts), func(f acl.FactEnd) bool { return string(f.Fact) == words[2] })
			}
		case "seat":
			for i := range c.Peers {
				unseat(&c.Peers[i], words[2])
			}
			unseat(&c.Self, words[2])
		case "peer":
			c.Peers = slices.DeleteFunc(slices.Clone(c.Peers), func(p filter.Party) bool { return p.ID == words[2] })
		}
	}
	return nil
}

// party gives this node ("self"), or a peer that the map may not have yet.
func (s *script) party(name string) *filter.Party {
	c := &s.config
	if name == "self" {
		return &c.Self
	}
	i := slices.IndexFunc(c.Peers, func(p filter.Party) bool { return p.ID == name })
	if i < 0 {
		c.Peers = append(c.Peers, filter.Party{ID: name, Name: name})
		i = len(c.Peers) - 1
	}
	return &c.Peers[i]
}

func seat(of *filter.Party, session string, words []string) {
	i := slices.IndexFunc(of.Seats, func(s acl.Seat) bool { return s.Session == session })
	if i < 0 {
		of.Seats = append(of.Seats, acl.Seat{Session: session})
		i = len(of.Seats) - 1
	}
	s := &of.Seats[i]
	has := filter.Party{Prefixes: s.Prefixes, Facts: s.Facts}
	party(&has, words)
	s.Prefixes, s.Facts = has.Prefixes, has.Facts
}

func unseat(p *filter.Party, session string) {
	p.Seats = slices.DeleteFunc(slices.Clone(p.Seats), func(s acl.Seat) bool { return s.Session == session })
}

func party(p *filter.Party, words []string) {
	for i := 0; i < len(words); i++ {
		k, v, _ := strings.Cut(words[i], "=")
		switch k {
		case "owner":
			n, _ := strconv.Atoi(v)
			p.Owner = acl.Owner(n)
		case "fact":
			at := strings.LastIndexByte(v, ':') // a fact's name may hold one
			name, until := v[:at], v[at+1:]
			p.Facts = append(slices.DeleteFunc(p.Facts, func(f acl.FactEnd) bool { return string(f.Fact) == name }),
				acl.FactEnd{Fact: acl.Fact(name), Until: when(until)})
		default:
			p.Prefixes = append(p.Prefixes, acl.PrefixClass{Prefix: prefix(words[i]), Class: class(words[i+1])})
			i++
		}
	}
}

func (s *script) rule(words []string) {
	r := acl.Rule{ID: acl.RuleID(words[1]), Src: classes(words[3]), Dst: classes(words[5])}
	for _, w := range strings.Split(words[6], ",") {
		proto, ports, _ := strings.Cut(w, ":")
		first, last, isRange := strings.Cut(ports, "-")
		if ports == "*" {
			first, last, isRange = "0", "65535", true
		}
		if !isRange {
			last = first
		}
		r.Open = append(r.Open, acl.Service{Protocol: protocol(proto), First: number(first), Last: number(last)})
	}
	for _, w := range words[7:] {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "owner":
			r.SameOwner = true
		case "needs":
			for _, f := range strings.Split(v, ",") {
				r.Needs = append(r.Needs, acl.Fact(f))
			}
		case "from":
			r.NotBefore = when(v)
		case "to":
			r.NotAfter = when(v)
		case "hold":
			r.Hold, _ = time.ParseDuration(v)
		case "drain":
			r.Drain, _ = time.ParseDuration(v)
		case "monitor":
			r.Monitor = true
		case "feature":
			r.Features = []string{v}
		case "limit":
			r.Limit = limitOf(v)
		case "log":
			r.Log = acl.LogOff
		default:
			panic("unknown condition " + w)
		}
	}
	all := &s.config.Rules
	side := map[string]*[]acl.Rule{
		"rule in": &all.In, "rule out": &all.Out, "forbid in": &all.ForbidIn, "forbid out": &all.ForbidOut,
	}[words[0]+" "+words[2]]
	*side = append(slices.Clone(*side), r)
}

func limitOf(s string) (l acl.Limit) {
	words := strings.Split(s, ":")
	n, err := strconv.ParseUint(words[1], 10, 64)
	if err != nil {
		panic(err)
	}
	if words[0] == "flows" {
		l.Flows = n
	} else {
		l.Bytes = n
	}
	l.Window = when(words[2]).Sub(noon())
	for _, e := range []acl.Exceed{acl.Alert, acl.Throttle, acl.Cut} {
		if e.String() == words[3] {
			l.OnExceed = e
		}
	}
	return l
}

func when(s string) time.Time {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return noon().Add(d)
}

func class(name string) acl.Class {
	if name == "-" {
		return 0
	}
	n := acl.Class(5381)
	for _, c := range name {
		n = n*33 + acl.Class(c)
	}
	return n
}

func classes(names string) (all []acl.Class) {
	for _, n := range strings.Split(names, ",") {
		all = append(all, class(n))
	}
	slices.Sort(all)
	return all
}

func prefix(s string) netip.Prefix {
	if !strings.Contains(s, "/") {
		a := addr(s)
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.MustParsePrefix(s)
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func direction(s string) filter.Direction {
	if s == "out" {
		return filter.Out
	}
	return filter.In
}

func protocol(s string) acl.Protocol {
	known := map[string]acl.Protocol{"tcp": acl.TCP, "udp": acl.UDP, "sctp": acl.SCTP, "icmp": acl.ICMP, "icmp6": acl.ICMPv6, "gre": 47}
	if p, ok := known[s]; ok {
		return p
	}
	return acl.Protocol(number(s))
}

func service(s string) (acl.Protocol, uint16) {
	proto, port, _ := strings.Cut(s, ":")
	if port == "" {
		port = "0"
	}
	return protocol(proto), number(port)
}

func number(s string) uint16 {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		panic(err)
	}
	return uint16(n)
}
