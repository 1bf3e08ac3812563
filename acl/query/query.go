// Package query answers batches of questions to policies: what would be open in
// a mesh that the question itself describes. It needs no coordinator, no network
// and no state, so that people can try a policy where they keep it.
//
// It holds no second reading of the language: a policy is parsed by acl/policy,
// compiled by acl/compile, and reachability judged by the table that acl/filter
// makes of a node's rules. Every line stands alone; a bad one is answered by an
// error, and never ends the batch.
package query

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// maxLine bounds one question in bytes: a policy of the allowed size, and a
// large mesh.
const maxLine = 64 << 20

// Serve answers each line of r by one line to w, in the same order, until r ends.
func Serve(r io.Reader, w io.Writer) error {
	in := bufio.NewReaderSize(r, 1<<16)
	var last parsed
	for {
		line, end := readLine(in)
		if len(bytes.TrimSpace(line)) > 0 {
			if _, err := w.Write(append(last.answer(line), '\n')); err != nil {
				return err
			}
		}
		switch {
		case end == io.EOF:
			return nil
		case end != nil:
			return fmt.Errorf("read a question: %w", end)
		}
	}
}

// readLine reads one line without its end. Of one that is too long it gives no
// more than shows that.
func readLine(in *bufio.Reader) (line []byte, end error) {
	for {
		piece, err := in.ReadSlice('\n')
		if room := maxLine + 1 - len(line); len(piece) <= room {
			line = append(line, piece...)
		} else {
			line = append(line, piece[:room]...)
		}
		if err != bufio.ErrBufferFull {
			return bytes.TrimSuffix(line, []byte("\n")), err
		}
	}
}

// Answer answers one question set. It always gives one JSON object, without a
// line's end.
func Answer(line []byte) []byte { return new(parsed).answer(line) }

// parsed is the policy that was read last: batches ask much of few policies.
type parsed struct {
	text    string
	domains []string
	pol     *policy.Policy // nil: none was read, or it was refused
}

// read gives the policy of a question.
func (p *parsed) read(q *question) (*policy.Policy, error) {
	if p.pol != nil && p.text == q.Policy && slices.Equal(p.domains, q.Tailnet.Domains) && (p.domains == nil) == (q.Tailnet.Domains == nil) {
		return p.pol, nil
	}
	pol, _, err := policy.Options{Domains: q.Tailnet.Domains, NoWarnings: true}.Parse("policy", []byte(q.Policy))
	*p = parsed{q.Policy, q.Tailnet.Domains, pol}
	return pol, err
}

func (p *parsed) answer(line []byte) []byte {
	var q question
	a := answer{Compile: compileOK}
	if len(line) > maxLine {
		a.refuse(fmt.Errorf("the question is longer than %d bytes", maxLine))
	} else if err := json.Unmarshal(line, &q); err != nil {
		a.refuse(fmt.Errorf("the question is not as it must be: %w", err))
	}
	a.ID = q.ID
	if a.Compile == compileOK {
		if err := a.fill(&q, p); err != nil {
			a = answer{ID: q.ID}
			a.refuse(err)
		}
	}
	text, err := json.Marshal(a)
	if err != nil { // capabilities hold what the policy's author wrote, checked to be JSON
		text, _ = json.Marshal(answer{ID: q.ID, Compile: compileError, Message: err.Error()})
	}
	return text
}

// refuse says why a policy is not answered for: what is wrong with it comes
// before what we do not have.
func (a *answer) refuse(err error) {
	a.Compile, a.Message = compileError, err.Error()
	var all policy.Errors
	if !errors.As(err, &all) || len(all) == 0 {
		return
	}
	i := slices.IndexFunc(all, func(e *policy.Error) bool { return !e.Unsupported })
	if i < 0 {
		a.Compile, i = compileUnsupported, 0
	}
	a.Message = all[i].Error()
	if all[i].Test {
		a.Message = failedText + a.Message
	}
}

// fill answers what was asked. An error means that the policy is refused.
func (a *answer) fill(q *question, p *parsed) error {
	if q.V != 1 {
		return fmt.Errorf(`"v" is %d: this program answers questions of version 1`, q.V)
	}
	pol, err := p.read(q)
	if err != nil {
		return err
	}
	m, err := q.mesh(pol.Unconditional()) // the question gives no device any posture
	if err != nil {
		return err
	}
	if len(q.Nodes) > 0 {
		tested := m.Mesh
		if pol.Conditional() { // its tests may say what a device is like
			if tested, err = tested.Try(pol); err != nil {
				return err
			}
		}
		if err := q.embedded(tested); err != nil {
			return err
		}
	}
	m.Advance(time.Time{}) // nor does it say what time it is: tests do, or mean now
	return a.sections(q, m)
}

// failedText is before what is said of a test, be it one that cannot be run or
// one that fails.
const failedText = "test(s) failed: "

// embedded runs the policy's own tests.
func (q *question) embedded(m *compile.Mesh) error {
	firsts := &firsts{question: q, mesh: m, known: make(map[string]*compile.Mesh)}
	results, err := m.TestResults(context.Background())
	if err != nil {
		return errors.New(failedText + err.Error())
	}
	for _, r := range results {
		if r.Failure != nil && r.Failure.NoDevice && r.Test.Given == nil {
			r = firsts.judge(r)
		}
		if r.Failure != nil && !r.Failure.NoDevice {
			return errors.New(failedText + r.Failure.String())
		}
	}
	for _, t := range m.Policy().SSHTests() {
		if why := firsts.failing(t); why != "" {
			return errors.New(failedText + why)
		}
	}
	return nil
}

// mesh is a compiled mesh with the names that the question gives its nodes.
type mesh struct {
	*compile.Mesh
	ids   map[string]string // name -> id
	title map[string]string // id -> name
}

func (q *question) mesh(pol *policy.Policy) (*mesh, error) {
	ranges, err := q.ranges()
	if err != nil {
		return nil, err
	}
	m := &mesh{Mesh: compile.New(pol, ranges), ids: make(map[string]string), title: make(map[string]string)}
	users := make(map[string]user)
	for _, u := range q.Users {
		users[u.Login] = u
	}
	nodes := make([]compile.Node, 0, len(q.Nodes))
	for i, n := range q.Nodes {
		if _, twice := m.ids[n.Name]; twice {
			return nil, fmt.Errorf("two nodes have the name %q", n.Name)
		}
		id := fmt.Sprintf("%08d", i) // ids sort as the question names the nodes
		m.ids[n.Name], m.title[id] = id, n.Name
		nodes = append(nodes, n.compiled(id, users))
	}
	m.Advance(time.Now()) // before there is anybody whose rules it would change
	return m, m.LoadWithin(nodes)
}

func (n *node) compiled(id string, users map[string]user) compile.Node {
	out := compile.Node{
		ID: id, Name: n.Name, User: n.User, Tags: n.Tags, Routes: n.carried(), Elected: n.Primary,
		UserName: users[n.User].Name, Roles: []string{users[n.User].Role}, Groups: users[n.User].Groups,
	}
	for _, a := range []netip.Addr{n.IPv4, n.IPv6} {
		if a.IsValid() {
			out.Addrs = append(out.Addrs, a)
		}
	}
	return out
}
