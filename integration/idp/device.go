package idp

import (
	"context"
	"net/url"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// anywhere is a client that may ask for device codes too (RFC 8628), which the
// example's for the web may not.
type anywhere struct{ op.Client }

func (c anywhere) GrantTypes() []oidc.GrantType {
	return append(c.Client.GrantTypes(), oidc.GrantTypeDeviceCode)
}

func (g grouped) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := g.memory.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return anywhere{c}, nil
}

// CompleteDeviceAuthorization has a person be the same by a device code as by their form:
// the example calls them by their name.
func (g grouped) CompleteDeviceAuthorization(ctx context.Context, code, name string) error {
	return g.memory.CompleteDeviceAuthorization(ctx, code, "sub-"+name)
}

// Enter does what a person does who types in a device code at the provider, proves who
// they are, and agrees ("allowed") or does not ("denied").
func (b *Browser) Enter(issuer, code, name, action string) error {
	at := strings.TrimSuffix(issuer, "/") + "/device/"
	b.proofs++
	if _, _, err := b.Submit(at+"login", url.Values{"user_code": {code}, "username": {name}, "password": {Password}}); err != nil {
		return err
	}
	_, _, err := b.Submit(at+"confirm", url.Values{"action": {action}})
	return err
}
