package scim

import (
	"net/http"
	"slices"
	"strings"

	standard "github.com/elimity-com/scim"
	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/elimity-com/scim/optional"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// groups serves /Groups.
type groups struct{ Config }

func (g *groups) Create(r *http.Request, a standard.ResourceAttributes) (standard.Resource, error) {
	c := groupCommand(a)
	c.ID, c.New = newID("g-"), true
	return g.provision(r, c)
}

func (g *groups) Replace(r *http.Request, id string, a standard.ResourceAttributes) (standard.Resource, error) {
	c := groupCommand(a)
	c.ID = id
	if c.Members == nil {
		c.Members = &[]string{}
	}
	return g.provision(r, c)
}

func (g *groups) Patch(r *http.Request, id string, ops []standard.PatchOperation) (standard.Resource, error) {
	c := registry.ProvisionGroup{ID: id}
	for _, op := range ops {
		if err := patchGroup(&c, op); err != nil {
			return standard.Resource{}, err
		}
	}
	return g.provision(r, c)
}

func (g *groups) Delete(r *http.Request, id string) error {
	_, err := g.do(r, registry.DeprovisionGroup{ID: id})
	return err
}

func (g *groups) Get(r *http.Request, id string) (standard.Resource, error) {
	state := g.Registry.Snapshot()
	group, ok := state.Group(id)
	if !ok {
		return standard.Resource{}, scimerrors.ScimErrorResourceNotFound(id)
	}
	return groupResource(group, membersOf(r, state)), nil
}

func (g *groups) GetAll(r *http.Request, p standard.ListRequestParams) (standard.Page, error) {
	holds, err := filterOf(p, false)
	if err != nil {
		return standard.Page{}, err
	}
	state := g.Registry.Snapshot()
	var of map[string][]string
	if strings.Contains(strings.ToLower(r.URL.Query().Get("filter")), "members") { // else nobody looks at all people for it
		of = memberIDs(state)
	}
	var all []*registry.Group
	for _, one := range state.SortedGroups() {
		if holds(&subject{id: one.ID, external: one.External, name: one.Name, members: of[one.ID], changed: one.Changed}) {
			all = append(all, one)
		}
	}
	members := membersOf(r, state)
	out := standard.Page{TotalResults: len(all), Resources: []standard.Resource{}}
	for _, one := range page(all, p) {
		out.Resources = append(out.Resources, groupResource(one, members))
	}
	return out, nil
}

// memberIDs gives who is in which group, by their records.
func memberIDs(state *registry.State) map[string][]string {
	out := map[string][]string{}
	for _, u := range state.ProvisionedUsers() {
		for _, id := range u.Provision.Groups {
			out[id] = append(out[id], u.Provision.ID)
		}
	}
	return out
}

func (g *groups) provision(r *http.Request, c registry.ProvisionGroup) (standard.Resource, error) {
	result, err := g.do(r, c)
	if err != nil {
		return standard.Resource{}, err
	}
	return groupResource(result.Group, membersOf(r, g.Registry.Snapshot())), nil
}

// membersOf gives who is in which group, by one look at all people; nothing if the
// request leaves members out, as directories do before they change some.
func membersOf(r *http.Request, state *registry.State) map[string][]any {
	q := r.URL.Query()
	names := func(list string) []string {
		return strings.Split(strings.ToLower(strings.ReplaceAll(list, " ", "")), ",")
	}
	if slices.Contains(names(q.Get("excludedAttributes")), "members") ||
		q.Get("attributes") != "" && !slices.Contains(names(q.Get("attributes")), "members") {
		return nil
	}
	out := map[string][]any{}
	for _, u := range state.ProvisionedUsers() {
		for _, id := range u.Provision.Groups {
			out[id] = append(out[id], map[string]any{"value": u.Provision.ID, "display": u.Provision.UserName})
		}
	}
	return out
}

func groupResource(g *registry.Group, members map[string][]any) standard.Resource {
	r := standard.Resource{ID: g.ID, Attributes: standard.ResourceAttributes{"displayName": g.Name},
		Meta: standard.Meta{Created: &g.Created, LastModified: &g.Changed}}
	if members != nil {
		r.Attributes["members"] = append([]any{}, members[g.ID]...)
	}
	if g.External != "" {
		r.ExternalID = optional.NewString(g.External)
	}
	return r
}

func groupCommand(a standard.ResourceAttributes) registry.ProvisionGroup {
	c := registry.ProvisionGroup{Name: textOf(a["displayName"]), External: textOf(a["externalId"])}
	if list, ok := a["members"]; ok {
		ids := idsOf(list)
		c.Members = &ids
	}
	return c
}

// idsOf gives whom a list of members names.
func idsOf(v any) []string {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	ids := []string{}
	for _, one := range list {
		m, _ := one.(map[string]any)
		if id := textOf(m["value"]); id != nil {
			ids = append(ids, *id)
		}
	}
	return ids
}
