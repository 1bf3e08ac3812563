package main

import (
	"fmt"
	"slices"
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
		case (kind == "mfa" || kind == "session") && outbound:
			way := "cordon login --afresh"
			if level := (local.Refusal{Needs: []string{fact}}).Level(); level != "" {
				way += " --acr " + level
			}
			out = append(out, "it needs "+fact+": `"+way+"`")
		case outbound:
			out = append(out, "it needs "+fact)
		default:
			out = append(out, "it needs "+fact+" there")
		}
	}
	return visible(strings.Join(out, "; "))
}

// nextStep says what to do about a refusal: open the link of the sign-in under way,
// if one opens that flow.
func nextStep(s *local.Status, r local.Refusal) string {
	if !opens(s, r) {
		return remedy(r.Needs, r.Outbound)
	}
	text := fmt.Sprintf("it needs %s: to go on, open %s", strings.Join(r.Needs, " and "), s.Login.URL)
	if s.Login.Code != "" {
		text += " (code " + s.Login.Code + ")"
	}
	return visible(text)
}

// opens tells whether the sign-in under way gives what this machine itself was
// refused for, or its reader at a machine of several people: what it forwards for
// others is no person's here.
func opens(s *local.Status, r local.Refusal) bool {
	_, steps := r.StepsUp()
	return steps && s.Login != nil && (r.Level() == "" || r.Level() == s.Login.ACR) && slices.Contains(s.Own(), r.Src.Addr())
}
