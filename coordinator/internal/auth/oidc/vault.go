package oidc

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
)

// maxHeld bounds how many refresh tokens are held, and roomAgain is below how many it is
// said anew that they are too many.
const (
	maxHeld   = 50_000
	roomAgain = maxHeld / 10 * 9
)

// Rows is where refresh tokens outlive the coordinator: sealed, and by session. Put and
// Delete return at once, and are done in the order in which they came.
type Rows interface {
	// Put writes a session's row, in the place of the one before. The channel is closed
	// when it is written for good, or cannot be and the one before is gone.
	Put(session string, asked bool, sealed []byte) (written <-chan struct{})
	Delete(session string)
}

// vault holds refresh tokens (RFC 6749 section 1.5): with one, and the client's secret,
// anybody could go on as the person. Once it is known of which session one is, it is
// written down too.
type vault struct {
	rows Rows    // nil: a coordinator that starts anew has none
	seal *sealer // nil likewise
	log  *slog.Logger

	mu      sync.Mutex
	held    map[string]*held
	of      map[string]string // the name, by session, whose token is written down
	refused uint64            // tokens for which there was no room
	full    bool              // which the log says
}

// Kept says how many refresh tokens are held.
type Kept struct {
	Held    int
	Refused uint64 // for which there was no room: nobody is asked whether the provider stands by their people
}

// Kept gives how many refresh tokens are held.
func (p *Provider) Kept() Kept {
	v := &p.vault
	v.mu.Lock()
	defer v.mu.Unlock()
	return Kept{Held: len(v.held), Refused: v.refused}
}

// held is what the provider is asked with.
type held struct {
	subject, refresh string
	session          string // empty: not known yet
	doubtful         bool   // a question of an earlier process found no answer: the token may be spent
}

// hold keeps a refresh token, and gives the name by which it is asked for; empty if
// there is none, or too many are held.
func (v *vault) hold(h held) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if h.refresh == "" {
		return ""
	}
	if len(v.held) >= maxHeld {
		v.refuse()
		return ""
	}
	name := rand.Text()
	v.held[name] = &h
	if h.session != "" {
		v.of[h.session] = name
	}
	return name
}

// refuse is told once, until there was room again.
func (v *vault) refuse() {
	v.refused++
	if !v.full {
		v.log.Warn("too many refresh tokens are held: the provider is not asked for those who sign in from now on, until sessions end", "held", len(v.held))
	}
	v.full = true
}

func (v *vault) get(name string) (held, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if h := v.held[name]; h != nil {
		return *h, true
	}
	return held{}, false
}

// asking writes down that a question is about to go out, and waits until that is
// on the disk: if this process ends before the answer, the next one knows that the
// provider may have taken the token and given another. It fails with ctx alone.
func (v *vault) asking(ctx context.Context, name string) error {
	select {
	case <-v.write(name, true):
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answered writes down that there was an answer, with the token to ask with next, if
// the provider gave another.
func (v *vault) answered(ctx context.Context, name, refresh string) {
	v.mu.Lock()
	if h := v.held[name]; h != nil {
		h.doubtful = false
		if refresh != "" {
			h.refresh = refresh
		}
	}
	v.mu.Unlock()
	select {
	case <-v.write(name, false):
	case <-ctx.Done():
	}
}

// write writes down what is held by a name, unless there is no place for it or its
// session has another by now. The channel is that of Rows.
func (v *vault) write(name string, asked bool) <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	h := v.held[name]
	if h == nil || v.of[h.session] != name || v.rows == nil || v.seal == nil {
		none := make(chan struct{})
		close(none)
		return none
	}
	return v.rows.Put(h.session, asked, v.seal.close(*h, asked))
}

// release forgets a token, also where it is written down.
func (v *vault) release(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	h := v.held[name]
	if h == nil {
		return
	}
	delete(v.held, name)
	v.full = v.full && len(v.held) >= roomAgain
	if v.of[h.session] != name {
		return
	}
	delete(v.of, h.session)
	if v.rows != nil {
		v.rows.Delete(h.session)
	}
}

// Bind says to which session a refresh token belongs, by the name in Identity.Standing:
// from then on it outlives the coordinator, where it can. It waits for no disk.
func (p *Provider) Bind(name, session string) {
	v := &p.vault
	v.mu.Lock()
	if h := v.held[name]; h != nil {
		h.session, v.of[session] = session, name
	}
	v.mu.Unlock()
	v.write(name, false)
}

// TakeUp takes what an earlier process wrote down of a session, and gives whom it is
// about and the name to ask by. It is not ok if it was sealed for another client or with
// another secret, or changed.
func (p *Provider) TakeUp(session string, asked bool, sealed []byte) (subject, name string, ok bool) {
	if p.vault.seal == nil {
		return "", "", false
	}
	h, ok := p.vault.seal.open(session, asked, sealed)
	if !ok {
		return "", "", false
	}
	name = p.vault.hold(h)
	return h.subject, name, name != ""
}

// Release forgets the refresh token that has the name.
func (p *Provider) Release(name string) { p.vault.release(name) }
