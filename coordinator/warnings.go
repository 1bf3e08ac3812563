package coordinator

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/warn"
)

// Warnings say where warnings of what is about to lapse go, besides the log and
// `cordonctl warnings`.
type Warnings struct {
	Webhook    string // URL to which they are posted; empty: nowhere
	SecretFile string // file with the secret that signs them, of 16 bytes or more
	Syslog     string // udp://HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH; empty: nowhere
}

const fileWarned = "warned.json"

// openWarner makes the part that warns. Settings that cannot work stop the start.
func (a *assembly) openWarner() error {
	var sinks []warn.Sink
	if a.Warnings.Webhook != "" {
		secret, err := os.ReadFile(a.Warnings.SecretFile)
		if err != nil {
			return fmt.Errorf("warn-webhook-secret-file: %w", err)
		}
		hook, err := warn.NewWebhook(a.Warnings.Webhook, a.authority.Mesh().String(), bytes.TrimSpace(secret), a.Now)
		if err != nil {
			return fmt.Errorf("warn-webhook: %w", err)
		}
		sinks = append(sinks, hook)
	} else if a.Warnings.SecretFile != "" {
		return notAllowed("warn-webhook", "", "the URL that the secret is for")
	}
	if a.Warnings.Syslog != "" {
		host, err := os.Hostname()
		if err != nil {
			host = ""
		}
		log, err := warn.NewSyslog(a.Warnings.Syslog, host, a.Now)
		if err != nil {
			return fmt.Errorf("warn-syslog: %w", err)
		}
		sinks = append(sinks, log)
	}
	a.warner = warn.New(warn.Config{Lapses: a.lapses, File: filepath.Join(a.StateDir, fileWarned), Sinks: sinks, Now: a.Now, Log: a.Log})
	return nil
}

// lapses gives all that has an end and does not renew by itself before an admin or a
// person does something. What else ends (nodes' certificates and relay tickets, the
// coordinator's own certificate, sessions) is renewed, or is meant to end.
func (a *assembly) lapses(ctx context.Context) (all []warn.Lapse) {
	for _, e := range a.authority.Ends() {
		all = append(all, warn.Lapse{Kind: "key", Name: e.Name, Since: e.From, Until: e.Until,
			Advice: "it should have been renewed before: look into this coordinator's log, and whether the mesh root is offline"})
	}
	state, now := a.registry.Snapshot(), a.Now()
	all = append(all, a.webLapses()...)
	all = append(all, a.lateLapses()...)
	all = append(all, tokenLapses(state, now)...)
	all = append(all, policyLapses(state)...)
	all = append(all, refusedToday(state)...)
	all = append(all, ownerLapses(state, now)...)
	all = append(all, leaverLapses(state, now)...)
	all = append(all, a.directoryLapses(state, now)...)
	all = append(all, a.unreadLapses()...)
	all = append(all, a.lockedLapses()...)
	all = append(all, a.holdLapses(ctx, state)...)
	all = append(all, a.cloneLapses(ctx, state)...)
	return append(all, machineLapses(state)...)
}

func (a *assembly) webLapses() []warn.Lapse {
	if a.web == nil {
		return nil
	}
	since, until := a.web.Life()
	return []warn.Lapse{{Kind: "certificate", Name: "for browsers (" + a.WebCert + ")", Since: since, Until: until,
		Advice: "nobody can sign in without browsers' warnings then; renew the file, which is served within a minute, or after a restart if its key is another"}}
}

// lateLapses tells that the provider cannot be asked for all who are signed in as often
// as was said.
func (a *assembly) lateLapses() []warn.Lapse {
	if a.watching == nil {
		return nil
	}
	s := a.watching.Stats()
	if !s.Behind {
		return nil
	}
	return []warn.Lapse{{Kind: "provider", Name: a.SignIn.Issuer, Advice: fmt.Sprintf(
		"it answers too slowly for the %d sessions of which it is asked: the question that waits longest is %v overdue, and who left is found out as much later; see why it is slow, or ask less often (`--oidc-check`)",
		s.Watched, s.Late.Round(time.Second))}}
}

func tokenLapses(state *registry.State, now time.Time) (all []warn.Lapse) {
	for _, t := range state.Tokens() {
		if t.Over(now) || t.Kind == registry.EnrolToken && t.UsesLeft == 0 {
			continue
		}
		all = append(all, warn.Lapse{Kind: "token", Name: fmt.Sprintf("%s (%s, by %s)", t.ID, t.Kind, t.By), Since: t.Created, Until: t.Expires,
			Advice: "whoever uses it needs another: `cordonctl token create`"})
	}
	return all
}

// policyLapses are what a policy observes, and does not enforce, until a day.
func policyLapses(state *registry.State) (all []warn.Lapse) {
	version := state.Policy()
	pol, err := version.Parsed()
	if version == nil || err != nil {
		return nil
	}
	add := func(what string, until time.Time) {
		if !until.IsZero() {
			all = append(all, warn.Lapse{Kind: "policy", Name: what, Since: version.Time, Until: until,
				Advice: "what passes there only because it is watched is refused then; see `cordon flows`, and edit the policy"})
		}
	}
	for _, name := range pol.Segments() {
		if s, ok := pol.Segment(name); ok {
			add("monitoring of segment "+name, s.Monitor)
		}
	}
	for _, r := range pol.Rules() {
		add("monitoring of rule "+string(r.ID), r.Monitor)
	}
	return all
}

func machineLapses(state *registry.State) (all []warn.Lapse) {
	for n := range state.Nodes() {
		if n.Expires.IsZero() || n.Expired || !state.Admitted(n) {
			continue
		}
		all = append(all, warn.Lapse{Kind: "machine", Name: n.Name + " of " + n.Owner(), Since: n.Created, Until: n.Expires,
			Advice: "it has no peers from then on, unless its person signs in there; or `cordonctl node renew`"})
	}
	return all
}

// ownersAway is for how long the provider may stand by no owner before it is told: it also
// says so of whoever went home, or on a holiday of some days.
const ownersAway = 7 * 24 * time.Hour

// ownerLapses tell that nobody who may come is an owner, though somebody was; or that the
// provider stands by none: whoever left is still one, and comes back if it lets them.
func ownerLapses(state *registry.State, now time.Time) []warn.Lapse {
	if state.Ownerless() {
		return []warn.Lapse{{Kind: "owner", Name: "none",
			Advice: "every owner is shut out, by the directory or here: at the coordinator, as root, `cordonctl role grant LOGIN owner` makes another, or `cordonctl user enable LOGIN` lets one in again"}}
	}
	if since := state.Adrift(); !since.IsZero() && now.Sub(since) >= ownersAway {
		return []warn.Lapse{{Kind: "owner", Name: "none by whom the provider stands, since " + since.UTC().Format("2006-01-02 15:04 UTC"),
			Advice: "if they have left, at the coordinator, as root, `cordonctl role grant LOGIN owner` makes another, and `cordonctl user disable --last-owner LOGIN` takes who left; else one of them should sign in"}}
	}
	return nil
}

// lookBack is for how long it is told what somebody made who is out: long enough that
// who comes back from a holiday hears of it, and short enough that it is read.
const lookBack = 30 * 24 * time.Hour

// leaverLapses tell what stands that people made lately who are shut out or forgotten: who
// was about to be dismissed may have made a way back in.
func leaverLapses(state *registry.State, now time.Time) (all []warn.Lapse) {
	for id, made := range state.Leavings(now.Add(-lookBack)) {
		who, last := "somebody who was forgotten ("+id+")", time.Time{}
		if u, known := state.User(id); known {
			who = u.Login
		}
		for _, m := range made {
			if m.At.After(last) {
				last = m.At
			}
		}
		// Not what they made is in the name: that grows shorter by the day, and would be another thing each time.
		all = append(all, warn.Lapse{Kind: "leaver", Name: fmt.Sprintf("%s (who is out, and last made something at %s)", who, last.UTC().Format("2006-01-02 15:04 UTC")),
			Advice: fmt.Sprintf("what they made stands: %s; look whether each should be there, and end what should not (`cordonctl user disable`, `node remove`); who tags or approves a machine again stands by it", registry.MadeText(made))})
	}
	return all
}

// directoryLapses tell that the directory had a token and has none that works: it may have
// ended with whoever made it, and from then on nobody hears who left.
func (a *assembly) directoryLapses(state *registry.State, now time.Time) []warn.Lapse {
	had := false
	for _, t := range state.Tokens() {
		if !a.SCIM.On || t.Holder != "" || !slices.Contains(state.TokenScopes(t, admin.RoleScopes), string(admin.ScopeSCIM)) {
			continue
		}
		if had = true; state.TokenLive(t, now) == nil {
			return nil
		}
	}
	if !had {
		return nil
	}
	return []warn.Lapse{{Kind: "directory", Name: "shut out",
		Advice: "it has no token of the scope scim that works, so nobody hears from it who left: `cordonctl token create --admin --scope scim`, at the coordinator, and give it to the directory"}}
}
