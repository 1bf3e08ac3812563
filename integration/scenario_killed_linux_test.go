package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/integration/lab"
)

// ledger is what one operator knows of its own changes: those that were
// acknowledged, and those of which a killed coordinator left it in doubt.
type ledger struct {
	tokens  map[string]bool // acknowledged tokens: revoked or not
	revoked map[string]bool // in doubt
	tags    []string        // acknowledged last
	policy  string          // likewise
	doubt   []string        // tags or policies that may have come since
	changes int
}

// operator makes changes of one kind until the coordinator is gone.
type operator func(ctx context.Context, api *admin.Client, r *rand.Rand, l *ledger) error

func tokenOperator(ctx context.Context, api *admin.Client, r *rand.Rand, l *ledger) error {
	if len(l.tokens) > 0 && r.IntN(2) == 0 {
		id := slices.Sorted(mapKeys(l.tokens))[r.IntN(len(l.tokens))]
		l.revoked[id] = true
		_, err := api.RevokeToken(ctx, connect.NewRequest(&admin.RevokeTokenRequest{Id: id}))
		if err == nil {
			l.tokens[id] = true
		}
		return err
	}
	made, err := api.CreateToken(ctx, connect.NewRequest(&admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ENROL, User: "nina@hospital.example"}))
	if err == nil {
		l.tokens[made.Msg.Token.Id] = false
	}
	return err
}

func tagOperator(ctx context.Context, api *admin.Client, r *rand.Rand, l *ledger) error {
	tags := []string{[]string{"tag:ehr", "tag:lab"}[r.IntN(2)], fmt.Sprintf("tag:bed-%d", r.IntN(1000))}
	slices.Sort(tags)
	l.doubt = append(l.doubt, fmt.Sprint(tags))
	_, err := api.TagNode(ctx, connect.NewRequest(&admin.TagNodeRequest{Node: "monitor", Tags: tags}))
	if err == nil {
		l.tags, l.doubt = tags, nil
	}
	return err
}

func policyOperator(ctx context.Context, api *admin.Client, r *rand.Rand, l *ledger) error {
	text := fmt.Sprintf("%s\n// edit %d\n", clinic, r.Uint64())
	l.doubt = append(l.doubt, text)
	_, err := api.SetPolicy(ctx, connect.NewRequest(&admin.SetPolicyRequest{Text: text, File: "edit.hujson"}))
	if err == nil {
		l.policy, l.doubt = text, nil
	}
	return err
}

func mapKeys(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// holds compares what a coordinator says after its restart with the ledger.
func (l *ledger) holds(t *testing.T, api *admin.Client) {
	t.Helper()
	tokens, err := api.ListTokens(t.Context(), connect.NewRequest(&admin.ListTokensRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, k := range tokens.Msg.Tokens {
		have[k.Id] = k.Revoked
	}
	for id, revoked := range l.tokens {
		now, there := have[id]
		if !there || revoked && !now || now && !l.revoked[id] {
			t.Errorf("token %s: there %v, revoked %v; acknowledged as revoked: %v", id, there, now, revoked)
		}
	}
	if l.tags != nil {
		n, err := api.GetNode(t.Context(), connect.NewRequest(&admin.GetNodeRequest{Node: "monitor"}))
		if err != nil {
			t.Fatal(err)
		}
		if now := fmt.Sprint(n.Msg.Node.Tags); now != fmt.Sprint(l.tags) && !slices.Contains(l.doubt, now) {
			t.Errorf("the node's tags are %s, acknowledged were %v", now, l.tags)
		} else {
			l.tags, l.doubt = n.Msg.Node.Tags, nil
		}
	}
	if l.policy != "" {
		p, err := api.GetPolicy(t.Context(), connect.NewRequest(&admin.GetPolicyRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		if now := p.Msg.Text; now != l.policy && !slices.Contains(l.doubt, now) {
			t.Errorf("the policy is another than was acknowledged:\n%s", now)
		}
		l.policy, l.doubt = p.Msg.Text, nil
	}
}

// F01: a coordinator is killed at 200 random moments, while four operators
// change tokens, tags and the policy. After each restart every change that was
// acknowledged is there, and the chain of the audit is whole.
func TestKilledCoordinatorKeepsWhatItAcknowledged_F01(t *testing.T) {
	t.Parallel() // most of it is waiting
	s := raise(t, clinic)
	if s == nil {
		return
	}
	e, err := wire.ParseEnrolment(s.coordinator.Token("tag:ehr"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := simulate(t, s.Host("hub"), e).enrol(t.Context(), e.Secret, "monitor"); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	operators := []operator{tokenOperator, tokenOperator, tagOperator, policyOperator}
	ledgers := make([]*ledger, len(operators))
	for i := range ledgers {
		ledgers[i] = &ledger{tokens: map[string]bool{}, revoked: map[string]bool{}}
	}
	// On a machine that is busy with other things fewer kills must do.
	kills, end := 0, time.Now().Add(45*time.Second)
	s.coordinator.Process.Kill()
	for ; kills < 200 && time.Now().Before(end); kills++ {
		p := s.coordinator.Serve()
		if dice.IntN(8) == 0 { // while it starts
			time.Sleep(time.Duration(dice.IntN(60)) * time.Millisecond)
			p.Kill()
			continue
		}
		s.comesUp(t, p)
		for _, l := range ledgers {
			l.holds(t, s.admin)
		}
		s.operate(t, p, operators, ledgers, dice)
		if t.Failed() {
			break
		}
	}
	s.coordinator.Serve()
	s.comesUp(t, nil)
	changes := 0
	for _, l := range ledgers {
		l.holds(t, s.admin)
		changes += l.changes
	}
	t.Logf("%d kills, %d changes", kills, changes)
	s.bothOrNeither(t)
}

// operate lets the operators work for a moment and kills the coordinator.
func (s *scene) operate(t *testing.T, p *lab.Process, operators []operator, ledgers []*ledger, dice *rand.Rand) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var wait sync.WaitGroup
	for i, operate := range operators {
		r := rand.New(rand.NewPCG(dice.Uint64(), 1))
		wait.Go(func() {
			api := admin.NewSocketClient(s.coordinator.Socket())
			defer api.Close()
			for operate(ctx, api, r, ledgers[i]) == nil {
				ledgers[i].changes++
			}
		})
	}
	time.Sleep(time.Duration(dice.IntN(60_000)) * time.Microsecond)
	p.Kill()
	wait.Wait()
}

// comesUp waits for a coordinator; p, if given, must not have ended.
func (s *scene) comesUp(t *testing.T, p *lab.Process) {
	t.Helper()
	lab.Eventually(t, patience, "the coordinator answers", func() (bool, string) {
		if p != nil {
			if ended, err := p.Exited(); ended {
				t.Fatalf("the coordinator ended: %v: %s", err, p.Log())
			}
		}
		_, err := s.admin.Status(t.Context(), connect.NewRequest(&admin.StatusRequest{}))
		return err == nil, fmt.Sprint(err)
	})
}

// bothOrNeither: every change has its record in the audit, and every record its
// change, once.
func (s *scene) bothOrNeither(t *testing.T) {
	t.Helper()
	v, err := s.admin.VerifyAudit(t.Context(), connect.NewRequest(&admin.VerifyAuditRequest{}))
	if err != nil || !v.Msg.Ok {
		t.Errorf("the audit does not verify: %v %v", v, err)
	}
	tokens, err := s.admin.ListTokens(t.Context(), connect.NewRequest(&admin.ListTokensRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	made, ended := map[string]int{}, map[string]int{}
	for _, r := range s.audited(t, "token.create") {
		made[r.Object]++
	}
	for _, r := range s.audited(t, "token.revoke") {
		ended[r.Object]++
	}
	for _, k := range tokens.Msg.Tokens {
		revoked := 0
		if k.Revoked {
			revoked = 1
		}
		if made[k.Id] != 1 || ended[k.Id] != revoked {
			t.Errorf("token %s (revoked %v) has %d records of its making and %d of its end", k.Id, k.Revoked, made[k.Id], ended[k.Id])
		}
	}
	if len(made) != len(tokens.Msg.Tokens) {
		t.Errorf("the audit tells of %d tokens, there are %d", len(made), len(tokens.Msg.Tokens))
	}
}
