package scim

import (
	"crypto/rand"
	"net/http"
	"strings"

	standard "github.com/elimity-com/scim"
	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/elimity-com/scim/optional"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// users serves /Users.
type users struct{ Config }

// newID draws what a record or a group is called for life. Nobody can guess one, so
// no group names a person before there is a record of them.
func newID(kind string) string { return kind + strings.ToLower(rand.Text()[:20]) }

func (u *users) Create(r *http.Request, a standard.ResourceAttributes) (standard.Resource, error) {
	c := u.command(a)
	c.ID, c.New = newID("r-"), true
	return u.provision(r, c)
}

func (u *users) Replace(r *http.Request, id string, a standard.ResourceAttributes) (standard.Resource, error) {
	c := u.command(a)
	c.ID = id
	if c.Email == nil {
		c.Email = new(string)
	}
	return u.provision(r, c)
}

func (u *users) Patch(r *http.Request, id string, ops []standard.PatchOperation) (standard.Resource, error) {
	c := registry.ProvisionUser{ID: id, By: u.Match}
	for _, op := range ops {
		if err := patchUser(&c, op); err != nil {
			return standard.Resource{}, err
		}
	}
	return u.provision(r, c)
}

func (u *users) Delete(r *http.Request, id string) error {
	_, err := u.do(r, registry.DeprovisionUser{ID: id})
	return err
}

func (u *users) Get(_ *http.Request, id string) (standard.Resource, error) {
	user, ok := u.Registry.Snapshot().Provisioned(id)
	if !ok {
		return standard.Resource{}, scimerrors.ScimErrorResourceNotFound(id)
	}
	return userResource(user), nil
}

func (u *users) GetAll(_ *http.Request, p standard.ListRequestParams) (standard.Page, error) {
	holds, err := filterOf(p, true)
	if err != nil {
		return standard.Page{}, err
	}
	var all []*registry.User
	for _, user := range u.Registry.Snapshot().ProvisionedUsers() {
		if holds(userSubject(user)) {
			all = append(all, user)
		}
	}
	out := standard.Page{TotalResults: len(all), Resources: []standard.Resource{}}
	for _, user := range page(all, p) {
		out.Resources = append(out.Resources, userResource(user))
	}
	return out, nil
}

func userSubject(u *registry.User) *subject {
	p := u.Provision
	return &subject{id: p.ID, external: p.External, login: p.UserName, email: p.Email, name: u.Name, active: p.Active, changed: p.Changed}
}

func (u *users) provision(r *http.Request, c registry.ProvisionUser) (standard.Resource, error) {
	result, err := u.do(r, c)
	if err != nil {
		return standard.Resource{}, err
	}
	return userResource(result.User), nil
}

func userResource(u *registry.User) standard.Resource {
	p := u.Provision
	a := standard.ResourceAttributes{"userName": p.UserName, "active": p.Active}
	if u.Name != "" {
		a["displayName"] = u.Name
	}
	if p.Email != "" {
		a["emails"] = []any{map[string]any{"value": p.Email, "type": "work", "primary": true}}
	}
	r := standard.Resource{ID: p.ID, Attributes: a, Meta: standard.Meta{Created: &u.Created, LastModified: &p.Changed}}
	if p.External != "" {
		r.ExternalID = optional.NewString(p.External)
	}
	return r
}

// command gives what a whole record says. That a record says nothing of active, or
// of its externalId, changes neither.
func (u *users) command(a standard.ResourceAttributes) registry.ProvisionUser {
	c := registry.ProvisionUser{By: u.Match, UserName: textOf(a["userName"]), External: textOf(a["externalId"]), Name: textOf(a["displayName"])}
	if name, ok := a["name"].(map[string]any); ok && c.Name == nil {
		c.Name = fullName(name)
	}
	if active, ok := a["active"].(bool); ok {
		c.Active = &active
	}
	c.Email = emailOf(a["emails"])
	return c
}

func textOf(v any) *string {
	if s, ok := v.(string); ok {
		return &s
	}
	return nil
}

func fullName(name map[string]any) *string {
	if whole := textOf(name["formatted"]); whole != nil {
		return whole
	}
	given, _ := name["givenName"].(string)
	family, _ := name["familyName"].(string)
	if full := strings.TrimSpace(given + " " + family); full != "" {
		return &full
	}
	return nil
}

func emailOf(v any) *string {
	list, _ := v.([]any)
	best, _ := bestEmail(list)
	return best
}

// ofWorkRank is that of an address of work: the primary one is above it, others below.
const ofWorkRank = 2

// bestEmail gives the address that is the primary one, else that of work, else the first.
func bestEmail(list []any) (best *string, rank int) {
	for _, one := range list {
		m, _ := one.(map[string]any)
		value := textOf(m["value"])
		if value == nil {
			continue
		}
		mine := 1
		if kind, _ := m["type"].(string); kind == "work" {
			mine = ofWorkRank
		}
		if primary, _ := m["primary"].(bool); primary {
			mine = ofWorkRank + 1
		}
		if mine > rank {
			best, rank = value, mine
		}
	}
	return best, rank
}
