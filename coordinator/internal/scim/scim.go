// Package scim is the edge at which a directory arrives that provisions people and
// groups (SCIM 2.0, RFC 7643 and RFC 7644): it decodes, authenticates, calls the
// registry and encodes. What a record does to a person, the registry decides.
//
// Its promises:
//
//   - Nothing is done without a live admin token of the scope scim, and its holder is
//     in the audit with every change. Another scope opens nothing here, and this one
//     nothing elsewhere.
//   - A body is read once, is bounded in bytes, depth and width, and no name stands in
//     it twice: what is decided is what every reader of the body would read.
//   - What we do not keep hinders nothing: a directory that speaks of a department in
//     the same breath as of a leaver is obeyed as to the leaver.
//   - A filter that is not understood is refused, as RFC 7644 section 3.4.2.2 lets it be,
//     and finds neither all nor nobody: a directory that hears of nobody makes a second
//     record. So is a way to say that somebody left which is not understood.
//
// The schemas, paths, filters and messages of the standard are those of
// elimity-com/scim; the odd spellings of directories are made standard before it.
package scim

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	standard "github.com/elimity-com/scim"
	"github.com/elimity-com/scim/optional"
	"github.com/elimity-com/scim/schema"
	"golang.org/x/time/rate"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// Prefix is of every path that is served here.
const Prefix = "/scim/v2/"

// How many requests are served: at once, and per second. A first synchronisation of
// a large hospital sends some ten thousand, and waits when it is told to.
const (
	requestsAtOnce    = 100
	requestsPerSecond = 30
	pageSize          = 100
)

// Registry is what the edge needs of the registry.
type Registry interface {
	Snapshot() *registry.State
	Do(ctx context.Context, actor registry.Actor, c registry.Command) (registry.Result, error)
}

// Config of the edge.
type Config struct {
	Registry Registry
	URL      string // of the coordinator: https://host:port
	Match    registry.Matching
	Now      func() time.Time
	Log      *slog.Logger
}

// New makes the edge.
func New(c Config) (http.Handler, error) {
	server, err := standard.NewServer(&standard.ServerArgs{
		ServiceProviderConfig: &standard.ServiceProviderConfig{
			MaxResults: pageSize, SupportFiltering: true, SupportPatch: true,
			AuthenticationSchemes: []standard.AuthenticationScheme{{
				Type: standard.AuthenticationTypeOauthBearerToken, Name: "Bearer token", Primary: true,
				Description: "An admin token of the scope scim: `cordonctl token create --admin --scope scim`"}},
		},
		ResourceTypes: []standard.ResourceType{
			{ID: optional.NewString("User"), Name: "User", Endpoint: "/Users", Description: optional.NewString("A person"),
				Schema: userSchema(), Handler: &users{c}},
			{ID: optional.NewString("Group"), Name: "Group", Endpoint: "/Groups", Description: optional.NewString("A group of people"),
				Schema: groupSchema(), Handler: &groups{c}},
		},
	}, standard.WithBaseURL(c.URL+"/scim/v2"))
	if err != nil {
		return nil, err
	}
	return &door{Config: c, server: server, pace: rate.NewLimiter(requestsPerSecond, requestsAtOnce)}, nil
}

func text(name, about string, required bool) schema.SimpleParams {
	return schema.SimpleStringParams(schema.StringParams{Name: name, Description: optional.NewString(about), Required: required})
}

// userSchema is what is kept of a person, of all that RFC 7643 section 4.1 has.
func userSchema() schema.Schema {
	return schema.Schema{ID: schema.UserSchema, Name: optional.NewString("User"), Description: optional.NewString("A person"), Attributes: []schema.CoreAttribute{
		schema.SimpleCoreAttribute(schema.SimpleStringParams(schema.StringParams{Name: "userName", Required: true, Uniqueness: schema.AttributeUniquenessServer()})),
		schema.SimpleCoreAttribute(text("displayName", "shown to people, and in the audit", false)),
		schema.SimpleCoreAttribute(schema.SimpleBooleanParams(schema.BooleanParams{Name: "active"})),
		schema.ComplexCoreAttribute(schema.ComplexParams{Name: "name", SubAttributes: []schema.SimpleParams{
			text("formatted", "taken where there is no displayName", false), text("givenName", "", false), text("familyName", "", false)}}),
		schema.ComplexCoreAttribute(schema.ComplexParams{Name: "emails", MultiValued: true, SubAttributes: []schema.SimpleParams{
			text("value", "the login, where userName is no address", false), text("type", "", false),
			schema.SimpleBooleanParams(schema.BooleanParams{Name: "primary"})}}),
	}}
}

func groupSchema() schema.Schema {
	return schema.Schema{ID: schema.GroupSchema, Name: optional.NewString("Group"), Description: optional.NewString("A group of people"), Attributes: []schema.CoreAttribute{
		schema.SimpleCoreAttribute(text("displayName", "the policy calls the group idp:NAME", true)),
		schema.ComplexCoreAttribute(schema.ComplexParams{Name: "members", MultiValued: true, SubAttributes: []schema.SimpleParams{
			text("value", "id of a User", false), text("display", "", false)}}),
	}}
}
