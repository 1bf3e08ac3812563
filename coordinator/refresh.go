package coordinator

import (
	"path/filepath"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/standing"
	"github.com/cordonmesh/cordon/coordinator/internal/store/refresh"
)

// openRefresh opens the file by which the provider is asked also after a restart, and
// gives what stands in it. Where there is nothing to be asked with, or nobody is asked,
// it takes away what an earlier start may have left.
func (a *assembly) openRefresh(wanted bool) (rows []refresh.Row) {
	path := filepath.Join(a.StateDir, fileRefresh)
	if wanted {
		a.refresh, rows = refresh.Open(refresh.Config{Path: path, Now: a.Now, Log: a.Log})
		return rows
	}
	if err := refresh.Remove(path); err != nil {
		a.Log.Warn("refresh tokens that nobody asks with any more cannot be removed", "path", path, "error", err)
	}
	return nil
}

func (a *assembly) closeRefresh() {
	if a.refresh != nil {
		a.refresh.Close()
	}
}

// rows gives where refresh tokens outlive the coordinator; nil: nowhere.
func (a *assembly) rows() oidc.Rows {
	if a.refresh == nil {
		return nil
	}
	return a.refresh
}

// kept gives for how many sessions there is something to ask with after a restart.
func (a *assembly) kept() int {
	if a.refresh == nil {
		return 0
	}
	return a.refresh.Kept()
}

// askable gives the sessions that go on, at which nodes, and those in which people operate,
// at none.
func (a *assembly) askable() map[string]string {
	live, state := map[string]string{}, a.registry.Snapshot()
	for s := range state.Sessions() {
		if s.Live(a.Now()) {
			live[s.ID] = s.Node
		}
	}
	for _, t := range state.Tokens() {
		if t.Holder != "" && !t.Over(a.Now()) {
			live[adminWatched+t.ID] = ""
		}
	}
	return live
}

// resume has the provider asked for those for whom an earlier process asked and who are
// still signed in. Of others nothing is to stay.
func (a *assembly) resume(rows []refresh.Row) {
	live := a.askable()
	var taken []standing.Watched
	closed := 0
	for _, r := range rows {
		if node, goesOn := live[r.Session]; goesOn {
			if subject, name, ok := a.provider.TakeUp(r.Session, r.Asked, r.Sealed); ok {
				taken = append(taken, standing.Watched{Node: node, Session: r.Session, Subject: subject, Standing: name})
				continue
			}
			closed++
		}
		a.refresh.Delete(r.Session)
	}
	if closed > 0 {
		a.Log.Warn("refresh tokens on the disk cannot be opened, as after a change of the client's secret: their people are asked for again from their next sign-in", "sessions", closed)
	}
	a.watching.Resume(taken)
}
