package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
)

// A coordinator may die while it is asked: what a draft was based on is told then, too.
func TestCoordinatorThatGoesAwayIsNamed(t *testing.T) {
	dies := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer dies.Close()
	api := admin.NewAdminServiceClient(dies.Client(), dies.URL)
	_, err := api.SetPolicy(context.Background(), connect.NewRequest(&admin.SetPolicyRequest{}))
	e := edit{path: "draft", from: 6}
	if got := e.onward(err).Error(); !strings.HasPrefix(got, "the coordinator went away before it answered (") || !strings.HasSuffix(got, "`cordonctl policy set --from 6 draft` goes on") {
		t.Error(got)
	}
}
