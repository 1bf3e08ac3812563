package compile_test

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
)

func wardNets() []string {
	return []string{"10.33.0.0/16", "10.33.1.0/24", "10.33.1.5", "100.64.0.1", "100.64.0.0/29", "fd7a::2", "192.168.0.0/16"}
}

func wardDevices() []string {
	return []string{"10.33.1.5/32", "10.33.1.255/32", "192.168.0.255/32", "fd00:1::/128", "100.64.0.2/32"}
}

// oneIn draws true once in n times.
func oneIn(t *rapid.T, n int, label string) bool { return rapid.IntRange(1, n).Draw(t, label) == n }

func some(t *rapid.T, label string, from []string, least, most int) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(from), least, min(most, len(from)), rapid.ID[string]).Draw(t, label)
}

func drawWard(t *rapid.T) *ward {
	w := &ward{groups: map[string][]string{}}
	for _, g := range []string{"group:x", "group:y"} {
		w.groups[g] = some(t, g, loginPool(), 0, 3)
	}
	for _, name := range some(t, "segments", []string{"seg:p", "seg:q"}, 0, 2) {
		w.segments = append(w.segments, drawSegment(t, name))
	}
	slices.SortFunc(w.segments, func(a, b wardSegment) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	for i := range rapid.IntRange(0, 1).Draw(t, "glasses") {
		places := w.places()
		var devices []string
		if oneIn(t, 3, "devices") {
			devices, places = some(t, "srcDevice", tagPool(), 1, 2), places[:len(places)-1] // no autogroup:self
		}
		r := w.drawRule(t, fmt.Sprintf("b%d", i), w.people(), places, 1)
		r.devices = devices
		r.glass, r.waives = true, drawWaives(t, 0)
		w.glasses = append(w.glasses, r)
	}
	for i := range rapid.IntRange(0, min(2, 2*len(w.segments))).Draw(t, "lifts") {
		w.lifts = append(w.lifts, wardLift{fmt.Sprintf("l%d", i), some(t, "lifted", w.names(), 1, 2), drawWaives(t, 1)})
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "grants") {
		w.grants = append(w.grants, w.drawGrant(t, fmt.Sprintf("g%d", i)))
	}
	for i, level := range []string{"", "", "amber", "red"} {
		if oneIn(t, 3, "forbid") {
			w.forbids = append(w.forbids, w.drawForbid(t, fmt.Sprintf("f%d", i), level))
		}
	}
	return w
}

func (w *ward) names() []string {
	var all []string
	for _, s := range w.segments {
		all = append(all, s.name)
	}
	return all
}

func (w *ward) people() []string { return append([]string{"group:x", "group:y"}, loginPool()...) }
func (w *ward) places() []string {
	return slices.Concat(tagPool(), tagPool(), w.names(), w.names(), wardNets(), []string{"*", "*", "group:x", "autogroup:self"})
}

func drawSegment(t *rapid.T, name string) wardSegment {
	s := wardSegment{name: name, members: some(t, name, slices.Concat(tagPool(), wardNets()), 1, 3)}
	if !oneIn(t, 3, "bare") {
		s.requires = drawWhen(t, 8*time.Hour, [][]string{nil, {"hwk", "otp"}}, []int{0, 70}, 10*time.Minute)
	}
	if oneIn(t, 3, "monitored") {
		s.monitor = drawUntil(t)
	}
	s.offline = draw(t, "offline", []time.Duration{0, time.Hour, 48 * time.Hour})
	return s
}

func drawUntil(t *rapid.T) time.Time {
	return wardStart().Add(draw(t, "until", []time.Duration{time.Hour, 30 * time.Hour, 200 * time.Hour}))
}

func drawWaives(t *rapid.T, least int) []string {
	return some(t, "waives", []string{"mfa", "posture", "schedule", "session", "oncall", "risk", "approval"}, least, 5)
}

// drawWhen draws conditions that are nowhere weaker than a floor is: such a
// policy would not be read.
func drawWhen(t *rapid.T, within time.Duration, amr [][]string, risk []int, idle time.Duration) wardWhen {
	var c wardWhen
	kinds := some(t, "conditions", []string{"mfa", "posture", "schedule", "oncall", "risk", "session"}, 0, 2)
	for _, kind := range kinds {
		switch kind {
		case "mfa":
			c.within, c.amr = within, draw(t, "amr", amr)
		case "posture":
			c.posture = some(t, "posture", wardPostures(), 1, 2)
		case "schedule":
			c.schedule = draw(t, "schedule", []string{"office", "weekend"})
		case "oncall":
			c.oncall = "icu"
		case "risk":
			c.risk = draw(t, "risk", risk)
		case "session":
			if c.session = draw(t, "session", []string{"", "tap"}); c.session == "" || oneIn(t, 2, "idle") {
				c.idle = idle
			}
		}
	}
	return c
}

func wardPostures() []string { return []string{"posture:managed", "posture:sick", "posture:bare"} }

func (w *ward) drawRule(t *rapid.T, id string, src, dst []string, least int) wardRule {
	if !oneIn(t, 10, "nothing") {
		least = 2
	}
	return wardRule{
		id: id, src: some(t, "src", src, least, 4), dst: some(t, "dst", dst, least, 4),
		ports: some(t, "ip", []string{"*", "22", "80-90", "tcp:22", "udp:*", "icmp:*", "47:*"}, 1, 3),
	}
}

func (w *ward) drawGrant(t *rapid.T, id string) wardRule {
	people := append(w.people(), "autogroup:member")
	src, dst := people, w.places()
	devices := oneIn(t, 3, "devices")
	if devices || oneIn(t, 2, "anybody") {
		dst = dst[:len(dst)-1] // no autogroup:self
	}
	if !devices && len(dst) < len(w.places()) {
		src = slices.Concat(people, tagPool(), w.names(), wardNets(), []string{"*", "autogroup:tagged"})
	}
	r := w.drawRule(t, id, src, dst, 0)
	if devices {
		r.devices = some(t, "srcDevice", tagPool(), 1, 2)
	}
	if oneIn(t, 2, "conditional") {
		r.when = drawWhen(t, draw(t, "within", []time.Duration{time.Hour, 8 * time.Hour}), [][]string{nil, {"hwk"}, {"otp", "hwk"}}, []int{40, 70}, 5*time.Minute)
	}
	if oneIn(t, 5, "alternatives") {
		r.postures = some(t, "srcPosture", wardPostures(), 1, 2)
	}
	r.approved = oneIn(t, 6, "approved")
	if oneIn(t, 5, "monitored") {
		r.monitor = drawUntil(t)
	}
	r.drain = draw(t, "drain", []time.Duration{0, 0, time.Minute})
	return r
}

func (w *ward) drawForbid(t *rapid.T, id, level string) wardRule {
	src := slices.Concat(w.people(), tagPool(), w.names(), wardNets(), []string{"*", "autogroup:tagged", "autogroup:member"})
	dst := w.places()
	r := w.drawRule(t, id, src, dst[:len(dst)-1], 1)
	r.level = level
	if oneIn(t, 3, "posture") {
		r.when.posture = some(t, "posture", wardPostures(), 1, 1)
	}
	if oneIn(t, 4, "schedule") {
		r.when.schedule = draw(t, "schedule", []string{"office", "weekend"})
	}
	if oneIn(t, 5, "alternatives") {
		r.postures = some(t, "srcPosture", wardPostures(), 1, 2)
	}
	return r
}

func drawSite(t *rapid.T) *wardSite {
	s := &wardSite{nodes: map[string]compile.Node{}, known: map[string]compile.Evidence{}, weighed: wardStart(), now: wardStart()}
	elected := map[netip.Prefix]bool{}
	for _, id := range some(t, "ids", idPool(), 3, 6) {
		n := withDevices(t, drawNode(t, id))
		for _, r := range n.Routes {
			if !elected[r] && oneIn(t, 3, "elected") {
				elected[r] = true
				n.Elected = append(n.Elected, r)
			}
		}
		s.nodes[id] = n
		s.known[id] = drawEvidence(t, s.weighed)
	}
	s.declared, s.signIn = drawDeclared(t), oneIn(t, 2, "signIn")
	return s
}

func withDevices(t *rapid.T, n compile.Node) compile.Node {
	if len(n.Routes) == 0 {
		return n
	}
	for _, text := range some(t, "devices", wardDevices(), 0, 3) {
		n.Devices = append(n.Devices, compile.Device{Prefix: netip.MustParsePrefix(text), Tags: some(t, "device", tagPool(), 1, 2)})
	}
	return n
}

func drawDeclared(t *rapid.T) compile.Declared {
	d := compile.Declared{Levels: some(t, "levels", wardLevels(), 0, 2), Glass: map[string]time.Time{}}
	for _, id := range some(t, "glass", []string{"l0", "l1"}, 0, 2) {
		d.Glass[id] = drawEnd(t)
	}
	return d
}

// drawEnd draws a moment at which something ends; the zero time has passed.
func drawEnd(t *rapid.T) time.Time {
	after := draw(t, "end", []time.Duration{-time.Hour, 10 * time.Minute, 30 * time.Minute, 5 * time.Hour, 500 * time.Hour, 500 * time.Hour, 500 * time.Hour, 0})
	if after == 0 {
		return time.Time{}
	}
	return wardStart().Add(after)
}

func drawEvidence(t *rapid.T, now time.Time) compile.Evidence {
	e := compile.Evidence{
		Attributes: map[string]compile.Attribute{}, Postures: map[string]time.Time{}, OnDuty: map[string]time.Time{},
		Approved: map[acl.RuleID]compile.Approved{}, Glass: map[string]time.Time{}, Risk: draw(t, "risk", []int{0, 40, 69, 70}),
	}
	if oneIn(t, 2, "signedIn") {
		e.SignedIn = drawEnd(t)
	}
	if oneIn(t, 2, "sits") {
		e.Person = compile.Node{User: draw(t, "person", append(loginPool(), "")), Addrs: []netip.Addr{netip.MustParseAddr("10.33.1.5")}}
		e.Presence = &compile.Presence{Kind: draw(t, "kind", []string{"tap", "pin"}), Idle: draw(t, "idle", []time.Duration{0, 5 * time.Minute, 9 * time.Minute}), Until: drawEnd(t)}
	}
	for range rapid.IntRange(0, 2).Draw(t, "logins") {
		at := now.Add(-draw(t, "age", []time.Duration{0, 50 * time.Minute, time.Hour, 7 * time.Hour, 9 * time.Hour, -time.Minute}))
		e.Logins = append(e.Logins, compile.Login{At: at, Until: drawEnd(t), AMR: some(t, "amr", []string{"hwk", "otp", "pwd"}, 0, 2)})
	}
	if oneIn(t, 2, "mdm") {
		e.Attributes["custom:mdm"] = compile.Attribute{Value: rapid.Bool().Draw(t, "managed"), Until: drawEnd(t)}
	}
	if oneIn(t, 2, "os") {
		e.Attributes["node:os"] = compile.Attribute{Value: draw(t, "os", []string{"xp", "linux"}), Until: drawEnd(t)}
	}
	if oneIn(t, 3, "sick") {
		e.Attributes["custom:sick"] = compile.Attribute{Value: rapid.Bool().Draw(t, "sick"), Until: drawEnd(t)}
	}
	if oneIn(t, 3, "vouched") {
		e.Postures[draw(t, "posture", wardPostures())] = drawEnd(t)
	}
	if oneIn(t, 2, "duty") {
		e.OnDuty["icu"] = drawEnd(t)
	}
	for _, id := range some(t, "approved", []string{"g0", "g1", "g2", "g3"}, 0, 3) {
		e.Approved[acl.RuleID(id)] = compile.Approved{People: rapid.IntRange(1, 3).Draw(t, "people"), Until: drawEnd(t)}
	}
	if oneIn(t, 2, "glass") {
		e.Glass["b0"] = drawEnd(t)
	}
	return e
}
