// Package idp plays what stands around a sign-in: a provider of identities that
// is not ours, the server of a certified library with its own form, and the
// browser of a person who signs in at it.
package idp

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// What a coordinator must know of the provider, and everybody's password there.
const (
	ClientID     = "cordon"
	ClientSecret = "client-secret"
	Password     = "correct-horse"
)

// Serve gives a provider of that issuer, an address below which it is served,
// whose client is the coordinator that browsers reach at that address. People
// are known by the part of their mail address before the @: their subject is
// "sub-" and that part, their groups are "Nurses" alone. Browsers in which somebody
// proved who they are it remembers, and asks there again only for prompt=login or a
// max_age that has passed, or for a level (acr_values). It gives a level to who is asked
// for one alone.
func Serve(issuer, coordinator string, mails ...string) http.Handler {
	known := staff{}
	for _, mail := range mails {
		name, _, _ := strings.Cut(mail, "@")
		known[name] = &storage.User{ID: "sub-" + name, Username: name, Password: Password, FirstName: name, LastName: "of Ward 3",
			Email: mail, EmailVerified: true}
		known["sub-"+name] = known[name]
	}
	client := storage.WebClient(ClientID, ClientSecret, coordinator+"/login/callback")
	store := grouped{newMemory(storage.NewStorageWithClients(known, map[string]*storage.Client{ClientID: client}))}
	// The example writes a line for each request into the process's own log.
	return store.remember(exampleop.SetupServer(issuer, store, slog.New(slog.DiscardHandler), false))
}

// staff are the provider's accounts, by name and by subject.
type staff map[string]*storage.User

func (s staff) GetUserByID(id string) *storage.User         { return s[id] }
func (s staff) GetUserByUsername(name string) *storage.User { return s[name] }
func (staff) ExampleClientID() string                       { return "none" }

// grouped adds groups to what the server's example tells of its users.
type grouped struct{ *memory }

func (g grouped) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, token, subject, origin string) error {
	info.AppendClaims("groups", []string{"Nurses"})
	return g.memory.SetUserinfoFromToken(ctx, info, token, subject, origin)
}
