package scim

import (
	"bytes"
	"context"
	"io"
	"mime"
	"net/http"
	"strings"

	standard "github.com/elimity-com/scim"
	scimerrors "github.com/elimity-com/scim/errors"
	"golang.org/x/time/rate"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// maxBody bounds a request: the largest is a group with all its members.
const maxBody = 1 << 20

// door lets the directory in, and what it says once it is fit to be read.
type door struct {
	Config
	server standard.Server
	pace   *rate.Limiter // of all that have a token: there is one directory
}

type actorKey struct{}

// do sends a command in the name of whose token a request came with.
func (c *Config) do(r *http.Request, command registry.Command) (registry.Result, error) {
	actor, ok := r.Context().Value(actorKey{}).(registry.Actor)
	if !ok {
		return registry.Result{}, scimerrors.ScimError{Status: http.StatusUnauthorized}
	}
	result, err := c.Registry.Do(r.Context(), actor, command)
	for _, w := range result.Warnings {
		c.Log.Warn("provisioning", "warning", w)
	}
	return result, refusal(err)
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	token, ok := d.caller(r)
	switch {
	case r.Header.Get("Origin") != "":
		answer(w, scimerrors.ScimError{Status: http.StatusForbidden, Detail: "not for browsers"})
	case !ok:
		w.Header().Set("WWW-Authenticate", `Bearer realm="scim"`)
		answer(w, scimerrors.ScimError{Status: http.StatusUnauthorized,
			Detail: "no valid token of the scope scim: create one with `cordonctl token create --admin --scope scim`"})
	case !d.pace.AllowN(d.Now(), 1):
		w.Header().Set("Retry-After", "1")
		answer(w, scimerrors.ScimError{Status: http.StatusTooManyRequests, Detail: "too many requests: ask again in a second"})
	default:
		d.serve(w, r, token)
	}
}

// caller gives the token that a request came with. The secret is looked up by its
// hash, as at every other door.
func (d *door) caller(r *http.Request) (*registry.Token, bool) {
	secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || r.TLS == nil {
		return nil, false
	}
	if c, err := admin.ParseCredential(secret); err == nil {
		secret = c.Secret // a directory has one field for it, and an admin one string
	}
	state := d.Registry.Snapshot()
	token, ok := state.TokenBySecret(registry.HashSecret(secret))
	return token, ok && state.TokenPermits(token, string(admin.ScopeSCIM), d.Now())
}

func (d *door) serve(w http.ResponseWriter, r *http.Request, token *registry.Token) {
	if err := checkQuery(r.URL.Query()); err != nil {
		answer(w, err)
		return
	}
	if r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		if err := d.admit(w, r); err != nil {
			answer(w, err)
			return
		}
	} else {
		r.Body = http.NoBody
	}
	at := *r.URL
	at.RawQuery = standardFilter(r.URL.Query()).Encode()
	at.Path, at.RawPath = "/v2/"+strings.TrimPrefix(r.URL.Path, Prefix), ""
	r = r.WithContext(context.WithValue(r.Context(), actorKey{}, registry.TokenActor(token.ID)))
	r.URL = &at
	d.server.ServeHTTP(w, r)
}

// admit reads a request's body, and puts in its place what is to be understood.
func (d *door) admit(w http.ResponseWriter, r *http.Request) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/scim+json" && kind != "application/json" {
		return scimerrors.ScimError{Status: http.StatusUnsupportedMediaType, Detail: "want application/scim+json"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return scimerrors.ScimError{Status: http.StatusRequestEntityTooLarge,
			Detail: "the body is too large, or did not come whole: send fewer members at once"}
	}
	body, err = standardise(body, strings.HasPrefix(r.URL.Path, Prefix+"Groups"))
	if err != nil {
		return err
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return nil
}
