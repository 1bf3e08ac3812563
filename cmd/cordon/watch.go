package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/desktop"
	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/node/local"
)

const watchEvery = time.Second

// watch prints the status again and again, until its user has seen enough.
func watch(c *cli.Context, api *local.Client) error {
	w := &watcher{json: usage.WantsJSON(c), told: map[string]time.Time{}}
	if c.Bool("notify") {
		d, err := desktop.Connect(c.Context)
		if err == nil {
			w.desktop = d
			defer d.Close()
		} else {
			w.withoutDesktop(err)
		}
	}
	return w.run(c.Context, api, watchEvery)
}

// watcher remembers what it has printed and told.
type watcher struct {
	json    bool
	desktop shower // nil: none
	gist    string // of what was printed last
	away    bool   // the daemon does not answer, and that was said
	told    map[string]time.Time
}

// shower is a person's desktop.
type shower interface {
	Show(ctx context.Context, n desktop.Notice) error
}

// run asks the daemon until ctx is done. A daemon that goes away may come back, as
// at an upgrade; one that was never there is an error.
func (w *watcher) run(ctx context.Context, api *local.Client, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		s, err := api.StatusFor(ctx, local.StatusRequest{StepUp: true})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && w.gist == "" && !w.away:
			return err
		case err != nil:
			w.lost(err)
		default:
			if err := w.saw(ctx, s); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w *watcher) lost(err error) {
	if !w.away {
		fmt.Fprintf(os.Stderr, "%s; waiting for it\n", err)
	}
	w.away, w.gist = true, ""
}

// saw prints a status if it is another, and tells the desktop what is new in it.
func (w *watcher) saw(ctx context.Context, s *local.Status) error {
	all := notices(s)
	if next := gist(s, all); next != w.gist {
		if err := w.print(s); err != nil {
			return err
		}
		w.gist, w.away = next, false
	}
	w.tell(ctx, all, policyNow(s))
	return nil
}

func (w *watcher) print(s *local.Status) error {
	if w.json {
		return json.NewEncoder(os.Stdout).Encode(s)
	}
	if w.gist != "" || w.away {
		if _, err := io.WriteString(os.Stdout, "\n--- "+time.Now().Format("15:04:05")+"\n"); err != nil {
			return err
		}
	}
	return printAll(s)
}

// tell shows each notice once. What is over is forgotten, so that who watches for
// months remembers little.
func (w *watcher) tell(ctx context.Context, all []notice, now time.Time) {
	for key, end := range w.told {
		if !end.After(now) {
			delete(w.told, key)
		}
	}
	for _, n := range all {
		if _, known := w.told[n.key]; known || w.desktop == nil || !n.end.After(now) {
			continue
		}
		w.told[n.key] = n.end
		if err := w.desktop.Show(ctx, n.Notice); err != nil && ctx.Err() == nil {
			w.withoutDesktop(err)
		}
	}
}

// withoutDesktop goes on without a desktop, and says so once.
func (w *watcher) withoutDesktop(err error) {
	w.desktop = nil
	fmt.Fprintf(os.Stderr, "warning: nothing is shown on a desktop: %s\n", visible(err.Error()))
}
