package integration

import (
	"fmt"
	"slices"
	"strings"
)

// row says what one package of ours may import of ours.
type row struct {
	may   []string // packages; "x/..." is x and all below
	tests []string // what its tests may import beyond that
	why   string   // what an arrow that is not here would break
}

func may(packages ...string) []string { return packages }

// arrows is the whole of the permitted import arrows, the counterpart of the
// drawing in docs/ARCHITECTURE.md. A package that is not here fails the test:
// add it, with what it needs and the reason for the limit. Its tests may always
// import what lies below it, and packages that are made for tests (a name that
// ends in "test").
func arrows() map[string]row {
	const (
		wire, key, admin = "coordinator/wire", "coordinator/wire/key", "coordinator/admin"
		registry, store  = "coordinator/internal/registry", "coordinator/internal/store"
		audit, ipam      = "coordinator/internal/audit", "coordinator/internal/ipam"
		plane, local     = "node/internal/plane", "node/local"
		usage            = "cmd/internal/usage"
		memory, editor   = "cmd/internal/memory", "cmd/internal/editor"
		desktop          = "cmd/internal/desktop"
		path, relay      = "node/internal/path", "node/relay"
		webcert          = "internal/webcert"
	)
	return map[string]row{
		"acl":                   {why: "compiled rules are what every data plane obeys: they know nobody"},
		"acl/policy":            {may: may("acl", "acl/calendar"), why: "the language knows neither nodes nor networks"},
		"acl/calendar":          {why: "a calendar answers for the moment that it is asked about: it knows no policy, no people and no clock"},
		"acl/packet":            {may: may("acl"), why: "a packet is bytes, whoever judges it"},
		"acl/packet/packettest": {why: "makes packets for tests of packet and filter"},
		"acl/compile":           {may: may("acl", "acl/calendar", "acl/policy"), why: "people and nodes come in by its own Directory interface"},
		"acl/filter":            {may: may("acl", "acl/packet"), why: "the filter obeys rules, and never sees a policy"},
		"acl/diff":              {may: may("acl", "acl/policy", "acl/compile"), why: "what an edit does is read from compiled rules, not from texts"},
		"acl/migrate":           {may: may("acl/policy"), why: "what another mesh's file means is acl/policy's to say: no second reading of the language"},
		"acl/query": {may: may("acl", "acl/policy", "acl/compile", "acl/filter"),
			why: "answers must come from what enforces, and from no third reading of the policy"},

		key:  {why: "keys are the bottom: whoever holds one must not hang on anything else"},
		wire: {may: may("acl", key), why: "the contract with nodes holds nouns and wire forms, and no behaviour of either side"},
		admin: {may: may(wire, key),
			why: "the contract with operators must be usable from the CLI, a console and tests alone"},

		audit: {why: "the chain of records is verified by itself, also far from a coordinator"},
		ipam:  {why: "pure allocation"},
		registry: {may: may("acl/policy", wire, key, ipam, audit),
			why: "the one writer declares the journal that it needs; it knows no database and no HTTP"},
		store:                              {why: "what all stores say when they fail: it knows none of them"},
		store + "/...":                     {may: may(registry, audit, store+"/..."), why: "stores keep events and records, and decide nothing"},
		store + "/storetest":               {may: may(registry, audit, ipam, wire, key), why: "one suite for every store: it must know none of them"},
		"coordinator/internal/auth":        {may: may(wire, key), why: "keys and secrets stay apart from who may do what; it never sees the store"},
		"coordinator/internal/auth/...":    {may: may(registry), tests: may(wire), why: "a login proves who somebody is, and decides nothing"},
		"coordinator/internal/warn":        {why: "it tells of what has an end, whatever that is: it knows no mesh"},
		"coordinator/internal/away":        {why: "it knows since when somebody is not there, and nothing else of a mesh"},
		"coordinator/internal/rosters":     {may: may("acl/calendar", "acl/policy"), why: "it reads files for whoever weighs evidence: it knows no node and no mesh"},
		"coordinator/internal/activity":    {may: may(registry), why: "it gathers what nodes tell until it is written: it knows no node's channel, and weighs nothing"},
		"coordinator/internal/auth/signin": {may: may(registry, wire, "coordinator/internal/auth/local"), tests: may(key), why: "pages lead to a proof, by whoever judges it, and decide nothing"},
		"coordinator/internal/distribute": {may: may("acl/...", registry, wire, key),
			why: "maps are made from snapshots; distribution cannot write"},
		"coordinator/internal/nodeapi": {may: may(registry, wire, key, "coordinator/internal/activity", "coordinator/internal/auth", "coordinator/internal/auth/signin", "coordinator/internal/distribute"),
			why: "an edge decodes, authenticates, calls, encodes; never the store behind the registry's back"},
		"coordinator/internal/adminapi": {may: may("acl/...", registry, admin, wire, key, audit, "coordinator/internal/auth/signin", "coordinator/internal/distribute", "coordinator/internal/warn"),
			why: "an edge decodes, authenticates, calls, encodes; never the store behind the registry's back"},
		"coordinator/internal/scim": {may: may(registry, admin), tests: may(wire),
			why: "an edge decodes, authenticates, calls, encodes; never the store behind the registry's back"},
		"coordinator": {may: may("acl/...", "coordinator/...", webcert), tests: may(relay, relay+"/server", "integration/idp"),
			why: "it assembles the coordinator; the insides of a node are not its business"},

		webcert: {why: "files and a certificate: it knows no mesh, and whoever serves browsers or nodes of the web's authorities may have it"},

		"netstack": {why: "a TCP/IP stack that others use as a library"},

		"node/local":                {why: "the contract with local tools: types and a client, nothing of the daemon"},
		relay:                       {may: may(wire, key, relay+"/internal/...", "node/internal/reasons"), tests: may(relay + "/server"), why: "frames and a client, for nodes and for the relay alike"},
		relay + "/relaytest":        {may: may(relay, relay+"/server", wire, key), why: "plays meshes, middleboxes and proxies around a relay"},
		relay + "/internal/backlog": {why: "a socket option: it knows no frames"},
		relay + "/internal/fair":    {why: "a queue: it knows neither connections nor keys"},
		relay + "/server":           {may: may(relay, relay+"/internal/...", wire, key, webcert), why: "a relay is untrusted: it knows no maps, rules or tunnels"},

		path:                    {may: may(key, path+"/pace", path+"/probe"), why: "a pure machine: (now, event) gives actions; sockets are outside"},
		path + "/probe":         {may: may(key), why: "messages of the path machine, without sockets"},
		path + "/pace":          {why: "arithmetic on how often, for whoever sends"},
		path + "/stun":          {may: may(path + "/pace"), tests: may(key, path+"/probe"), why: "questions to servers, without sockets: it knows no peers"},
		path + "/stun/stuntest": {why: "plays a server by the standard alone"},
		path + "/pathtest":      {may: may(key, path, path+"/probe"), why: "a made-up internet around the machine"},
		"node/internal/relays":  {may: may(relay, key), tests: may(relay + "/..."), why: "connections to relays: it chooses no path"},
		"node/internal/transport": {may: may(path, path+"/probe", path+"/stun", key), tests: may(relay),
			why: "moves datagrams; whether one may pass is the plane's matter"},
		plane:                               {may: may("acl", key), why: "the words that all planes share"},
		plane + "/planetest":                {may: may(plane, "acl", key), why: "one suite for every plane: it must know none of them"},
		plane + "/userspace":                {may: may(plane, "acl", "acl/filter", "acl/packet", key), tests: may("node/internal/transport", path), why: "takes any tun.Device and conn.Bind: knows neither netstack nor transport"},
		"node/internal/engine":              {may: may("acl", wire, key, plane, "node/internal/stock"), tests: may("acl/filter"), why: "desired state to plane configuration, by interfaces of its own"},
		"node/internal/stepup":              {may: may(local), why: "decides by what a person may see of the node, and by nothing else"},
		"node/internal/stock":               {may: may(key), why: "a file of this machine's admin: what it may mean in a mesh is not its matter"},
		"node/internal/reasons":             {why: "joins errors for people, whoever has them"},
		"node/internal/policytime":          {why: "arithmetic on clocks, which every plane can be tested with"},
		"node/internal/control":             {may: may(wire, key, "node/internal/policytime", "node/internal/reasons"), why: "follows the coordinator; cannot reach the tunnels or their keys' use"},
		"node/internal/control/controltest": {may: may("acl", wire, key), why: "plays a coordinator by its contract with nodes: it knows neither side's insides"},
		"node/internal/dns":                 {may: may(wire, local), why: "names from the map; no say in what passes"},
		"node/internal/localapi":            {may: may(local), why: "an edge: decodes, checks the caller, calls"},
		"node/internal/gather":              {may: may("node/internal/path/stun"), why: "finds addresses: what they are used for is not its matter"},
		"node/internal/netcheck":            {may: may(relay, local, "node/internal/path/stun", "node/internal/portmap"), why: "says what others have seen: it looks at nothing itself"},
		"node/internal/portmap":             {why: "speaks with one gateway; no idea of a mesh, nor of where its sockets may go"},
		"node/internal/osnet":               {why: "addresses and routes of this machine; no idea of a mesh"},
		"node":                              {may: may("acl/...", "node/...", wire, key, "netstack"), why: "it assembles the agent; the insides of a coordinator are not its business"},
		usage:                               {why: "what command lines have in common knows no program's commands"},
		desktop:                             {why: "shows what it is given, and knows nothing of what that means"},
		memory:                              {why: "what keeps a program small knows nothing of what it does"},
		editor:                              {why: "runs what a person's own environment names, on a path of its own choice: it knows nothing that others chose"},
		"cmd/cordon":                        {may: may("node", local, usage, memory, desktop), why: "flags and wiring: public doors only"},
		"cmd/cordon-coordinator":            {may: may("coordinator", admin, relay+"/server", usage), why: "flags and wiring: public doors only"},
		"cmd/cordon-relay":                  {may: may(relay, relay+"/server", key, usage), why: "flags and wiring: public doors only"},
		"cmd/cordonctl":                     {may: may(admin, "acl/policy", "acl/compile", "acl/query", "acl/diff", "acl/migrate", usage, editor, memory), why: "flags and wiring: public doors only"},
		"integration":                       {tests: may("integration/lab", "integration/idp", admin, local, wire, key), why: "sees what an operator sees"},
		"integration/lab":                   {may: may(admin, local), why: "sees what an operator sees"},
		"integration/lab/resolvedtest":      {why: "plays systemd-resolved, for whoever speaks to it"},
		"integration/lab/desktoptest":       {why: "plays a desktop, for whoever speaks to it"},
		"integration/demo":                  {may: may(local), why: "sees what an operator sees"},
		"integration/browser":               {tests: may("integration/idp", admin, wire, key), why: "sees what a person at a browser sees, and plays a machine by its contract, and a provider"},
		"integration/idp":                   {why: "plays a provider and a browser: strangers to us"},
		"integration/bench":                 {may: may("integration/lab", "integration/idp", admin, local, wire, key, relay), tests: may(relay + "/server"), why: "sees what an operator sees; at a relay it stands as nodes do, by their own client"},
		"integration/natmatrix":             {may: may("integration/lab"), why: "sees what an operator sees"},
	}
}

// outside says which packages alone may import something that is not ours.
func outside() map[string]row {
	return map[string]row{
		"golang.zx2c4.com/wireguard/device": {may: may("node/internal/plane/userspace", "integration/bench"), tests: may("node/internal/transport", "netstack", "integration"),
			why: "another engine may take its place one day"},
		"gvisor.dev/gvisor":              {may: may("netstack"), why: "one stack, behind one tun.Device"},
		"github.com/miekg/dns":           {may: may("node/internal/dns", "integration/..."), why: "names from outside stay behind one reader of them"},
		"github.com/godbus/dbus":         {may: may("node/internal/dns", "cmd/internal/desktop", "integration/lab/resolvedtest", "integration/lab/desktoptest"), why: "a bus carries what other programs say: one package listens on each"},
		"github.com/huin/goupnp":         {may: may("node/internal/portmap"), why: "only behind a client that speaks to nobody but the gateway"},
		"modernc.org/sqlite":             {may: may("coordinator/internal/store/sqlite"), why: "the database stays behind the journal"},
		"github.com/coreos/go-oidc":      {may: may("coordinator/internal/auth/oidc"), why: "its errors hold what a provider sent: one package reads them, and tells less"},
		"golang.org/x/oauth2":            {may: may("coordinator/internal/auth/oidc"), why: "its errors hold what a provider sent: one package reads them, and tells less"},
		"github.com/elimity-com/scim":    {may: may("coordinator/internal/scim"), why: "a directory's words are judged at one door"},
		"github.com/scim2/filter-parser": {may: may("coordinator/internal/scim"), why: "a directory's words are judged at one door"},
		"github.com/zitadel/oidc":        {may: may("integration/..."), tests: may("..."), why: "it plays a provider for tests: what ships is no provider"},
		"github.com/urfave/cli":          {may: may("cmd/..."), why: "flags belong to programs"},
		"C":                              {why: "what ships has no cgo in it"},
		"net/http/pprof":                 {why: "it hangs itself on every listener of the default mux"},
		"expvar":                         {why: "it hangs itself on every listener of the default mux"},
		"os/exec":                        {may: may("integration/...", "cmd/internal/editor"), tests: may("..."), why: "names that others chose must never reach a program's arguments"},
		"plugin":                         {why: "code comes with the binary or not at all"},
		"encoding/gob":                   {why: "made for friends: it does not bound what foreign bytes cost"},
		"golang.org/x/net/websocket":     {why: "no listener of ours speaks to a browser's scripts"},
		"github.com/go-webauthn":         {may: may("coordinator/internal/auth/local"), why: "its errors hold what a browser sent: one package reads them, and tells less"},
		"github.com/pquerna/otp":         {may: may("coordinator/internal/auth/local"), tests: may("..."), why: "codes are judged in one place"},
	}
}

// find gives the row of a package: its own, or that of the nearest "x/...".
func find(table map[string]row, pkg string) (row, bool) {
	name, ok := rowOf(table, pkg)
	return table[name], ok
}

func rowOf(table map[string]row, pkg string) (name string, ok bool) {
	if _, ok := table[pkg]; ok {
		return pkg, true
	}
	for dir := pkg; ; {
		at := strings.LastIndexByte(dir, '/')
		if at < 0 {
			return "", false
		}
		dir = dir[:at]
		if _, ok := table[dir+"/..."]; ok {
			return dir + "/...", true
		}
	}
}

func covers(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if dir, ok := strings.CutSuffix(p, "..."); ok {
			return strings.HasPrefix(pkg+"/", dir)
		}
		return p == pkg
	})
}

// forTests tells packages that exist for tests by their name: storetest.
func forTests(pkg string) bool { return strings.HasSuffix(pkg, "test") }

// checkArrow says what is wrong with package from importing to, or "".
func checkArrow(from, to string, inTest bool) string {
	ours, isOurs := strings.CutPrefix(to, module+"/")
	if !isOurs {
		return checkOutside(from, to, inTest)
	}
	r, ok := find(arrows(), from)
	if !ok {
		return fmt.Sprintf("%s is a package that nobody placed: give it a row in integration/layout_arrows_test.go, with what it may import and why", from)
	}
	switch {
	case from == ours:
	case forTests(ours) && (inTest || forTests(from)):
	case forTests(ours):
		return fmt.Sprintf("%s imports %s, which is made for tests", from, ours)
	case covers(r.may, ours):
	case inTest && (covers(r.tests, ours) || strings.HasPrefix(ours, from+"/")):
	default:
		return fmt.Sprintf("%s imports %s: forbidden: %s (permitted: %v). If the arrow is right, draw it in docs/ARCHITECTURE.md and integration/layout_arrows_test.go", from, ours, r.why, r.may)
	}
	return ""
}

func checkOutside(from, to string, inTest bool) string {
	for prefix, r := range outside() {
		if to != prefix && !strings.HasPrefix(to, prefix+"/") {
			continue
		}
		if !covers(r.may, from) && !(inTest && covers(r.tests, from)) {
			return fmt.Sprintf("%s imports %s: forbidden: %s (permitted: %v)", from, to, r.why, r.may)
		}
	}
	return ""
}
