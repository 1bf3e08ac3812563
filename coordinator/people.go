package coordinator

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
	"github.com/cordonmesh/cordon/coordinator/internal/warn"
)

// openPeople makes what proves people whom the coordinator knows by itself.
func (a *assembly) openPeople() error {
	if !a.SignIn.Local {
		return nil
	}
	key, err := a.localKey()
	if err != nil {
		return err
	}
	cost := local.DefaultCost()
	if a.SignIn.PasswordMemory != 0 {
		cost.Memory = uint32(a.SignIn.PasswordMemory) << 10
	}
	a.people, err = local.New(local.Config{URL: a.settings.URL, Key: key, Registry: a.registry, Cost: cost, Now: a.Now, Log: a.Log,
		Alarm: func() { a.warner.Look() }})
	if old := a.registry.Snapshot().OldGroups(); len(old) > 0 {
		a.Log.Warn("local people have groups from before the policy called these local:NAME: they count as they are, until `cordonctl user group` says them anew", "people", len(old), "first", old[0])
	}
	if err == nil && !a.people.Passkeys() {
		a.Log.Warn("local people can have passwords and codes, and no passkeys: browsers know those only where the coordinator's URL has a name", "url", a.settings.URL)
	}
	return err
}

// localKey reads the key that seals passwords, or makes it. One that is missed by what
// it sealed is never made anew: that would lock everybody out without a word.
func (a *assembly) localKey() (*local.Key, error) {
	path := filepath.Join(a.StateDir, fileLocalKey)
	key, err := local.ReadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	sealed := 0
	for _, l := range a.registry.Snapshot().SortedLocals() {
		if len(l.Password) > 0 {
			sealed++
		}
	}
	if sealed > 0 {
		return nil, fmt.Errorf("%s is missing, and the passwords of %d people are sealed with it: restore the file from a backup, "+
			"or start without --local-people, `cordonctl user reset` each of them, and start with it again", path, sealed)
	}
	return local.MakeKey(path)
}

// lockedLapses tell of people at whom somebody guesses. Each lock-out is told, so its
// end is in its name; the advice is one for all, as a spray over a hundred logins is
// one message.
func (a *assembly) lockedLapses() (all []warn.Lapse) {
	if a.people == nil {
		return nil
	}
	for _, l := range a.people.LockedOut() {
		all = append(all, warn.Lapse{Kind: "lock-out", Name: fmt.Sprintf("of %s until %s", l.Login, l.Until.UTC().Format("2006-01-02 15:04 UTC")),
			Advice: "somebody guesses; the audit says where (local.lock-out). Passwords are heard where their owner has signed in lately, passkeys everywhere"})
	}
	return all
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// proofCounters are what is measured of proofs.
func proofCounters(p *local.People) (all []prometheus.Collector) {
	counter := func(name, help string, of func(local.Stats) uint64) {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "cordon_local_proofs_" + name, Help: help}, func() float64 { return float64(of(p.Stats())) }))
	}
	counter("right_total", "Local people who proved who they are.", func(s local.Stats) uint64 { return s.Proved })
	counter("wrong_total", "Proofs of local people that were wrong.", func(s local.Stats) uint64 { return s.Wrong })
	counter("throttled_total", "Proofs of local people at which nobody looked, since too many before them were wrong.", func(s local.Stats) uint64 { return s.Throttled })
	counter("lockouts_total", "Times that somebody guessed at a local person until the login was locked for a while.", func(s local.Stats) uint64 { return s.LockOuts })
	return all
}
