package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

// An edit may know on what it is based: by --from, or by the last line of its file, as
// `policy get --with-revision` writes it. One that does not know, and that nobody looks
// at, may take the place of the caller's own policy alone: what somebody else wrote
// since would be gone, and nobody the wiser.

const baseText = "// cordon policy revision "

// marked gives a policy's text with a last line that says of which revision it is: so no
// other line has another number than in the text.
func marked(text string, revision uint64) string {
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + baseText + strconv.FormatUint(revision, 10) + ": `policy set` takes this line out, and refuses if another one is in force\n"
}

// basedOn takes such a line out of a text, and gives the revision that it names; 0: there
// is none.
func basedOn(text string) (rest string, revision uint64) {
	m := regexp.MustCompile(`(?m)^` + baseText + `([0-9]{1,19})\b.*\n?`).FindStringSubmatchIndex(text)
	if m == nil {
		return text, 0
	}
	revision, _ = strconv.ParseUint(text[m[2]:m[3]], 10, 64)
	return text[:m[0]] + text[m[1]:], revision
}

// base has the edit know on what it is based.
func (e *edit) base() {
	rest, revision := basedOn(e.text)
	if revision == 0 {
		return
	}
	e.text, e.marked = rest, true
	if e.from == 0 {
		e.from = revision
	}
}

// rebase has a file that says its revision say the one that it is now.
func (e *edit) rebase(revision uint64) error {
	if !e.marked || e.path == "-" {
		return nil
	}
	return replaceFile(e.path, []byte(marked(e.text, revision)))
}

// unseen refuses to take the place of what somebody else put in force, for an edit that
// nobody looks at and that does not say on what it is based.
func (e *edit) unseen(c *cli.Context, revision uint64) error {
	if !e.yes || e.from != 0 || revision == 0 {
		return nil
	}
	now, err := e.api.GetPolicy(c.Context, connect.NewRequest(&admin.GetPolicyRequest{Revision: revision}))
	if err != nil {
		return err
	}
	me, err := e.api.WhoAmI(c.Context, connect.NewRequest(&admin.WhoAmIRequest{}))
	if err != nil {
		return err
	}
	if now.Msg.Text == policy.Starter() || sameActor(now.Msg.Writer, me.Msg.Actor) {
		return nil
	}
	return fmt.Errorf("%w: the policy in force, revision %d, is by %s of %s, and --yes without --from would write over it unseen; look at `cordonctl policy diff %s`, then `cordonctl policy set --yes --from %d %s`",
		errUnchanged, revision, visible(now.Msg.Author), moment(now.Msg.Time), e.path, revision, e.path)
}

// sameActor tells whether two are one person, at whichever sign-in of theirs, or one token
// or one operator.
func sameActor(a, b string) bool {
	person := func(actor string) string {
		if login, isPerson := strings.CutPrefix(actor, "admin:"); isPerson {
			login, _, _ = strings.Cut(login, "/")
			return "admin:" + login
		}
		return actor
	}
	return person(a) == person(b)
}
