package main

import (
	"strings"

	"github.com/cordonmesh/cordon/node/local"
)

// remedy says what to do about facts that a rule needs and a flow's source lacks;
// empty if it lacks none. Nobody here can do a thing for what is lacking there.
func remedy(needs []string, outbound bool) string {
	var out []string
	for _, fact := range needs {
		kind, _, _ := strings.Cut(fact, ":")
		switch {
		case fact == local.FactSignedIn && outbound:
			out = append(out, "sign in first: `cordon login`")
		case fact == local.FactSignedIn:
			out = append(out, "nobody is signed in there")
		case kind == "mfa" && outbound:
			out = append(out, "it needs "+fact+": `cordon login --afresh`")
		case outbound:
			out = append(out, "it needs "+fact)
		default:
			out = append(out, "it needs "+fact+" there")
		}
	}
	return visible(strings.Join(out, "; "))
}
