package warn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	weighEvery = time.Hour
	waitOthers = 5 * time.Second // before what has just come up is told, for it seldom comes alone

	maxQueue     = 256 // warnings that wait for one sink
	firstRetry   = 5 * time.Second
	lastRetry    = 10 * time.Minute
	patience     = 24 * time.Hour // for a sink that is away
	sendWithin   = 15 * time.Second
	maxTold      = 32 << 20 // bytes of the file: of 100,000 machines that lapse it has 10 MB
	toldFileMode = 0o600
)

// Sink is somewhere that warnings go to. Send returns promptly when ctx ends; an
// error that wraps ErrRefused is not tried again.
type Sink interface {
	Name() string
	Send(ctx context.Context, w Warning) error
}

// ErrRefused: the other side will not take this warning, however often it is told.
var ErrRefused = errors.New("refused")

// Config of a Warner. All but Sinks are needed.
type Config struct {
	Lapses func(context.Context) []Lapse
	File   string // keeps what was told
	Sinks  []Sink
	Now    func() time.Time
	Log    *slog.Logger
}

// Warner tells each warning once.
type Warner struct {
	Config
	told   Told
	queues []chan Warning
	look   chan struct{}
}

// New reads what was told before. A file that cannot be read costs warnings that are
// told twice, and no start.
func New(c Config) *Warner {
	w := &Warner{Config: c, told: Told{}, look: make(chan struct{}, 1)}
	for range c.Sinks {
		w.queues = append(w.queues, make(chan Warning, maxQueue))
	}
	text, err := os.ReadFile(c.File)
	if err == nil && len(text) > maxTold {
		err = fmt.Errorf("%d bytes, at most %d", len(text), maxTold)
	}
	if err == nil {
		err = json.Unmarshal(text, &w.told)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.Log.Warn("what was warned of before cannot be read: it is told again", "file", c.File, "error", err)
		w.told = Told{}
	}
	return w
}

// Look has it look within moments, not at the next hour. It never blocks.
func (w *Warner) Look() {
	select {
	case w.look <- struct{}{}:
	default: // it will look anyway
	}
}

// Run warns until ctx ends, and waits for its couriers.
func (w *Warner) Run(ctx context.Context) error {
	var couriers sync.WaitGroup
	defer couriers.Wait()
	for i, s := range w.Sinks {
		couriers.Go(func() { w.carry(ctx, s, w.queues[i]) })
	}
	tick := time.NewTicker(weighEvery)
	defer tick.Stop()
	var soon <-chan time.Time
	w.weigh(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.look:
			if soon == nil { // not anew: what comes up without a pause must not put it off
				soon = time.After(waitOthers)
			}
			continue
		case <-soon:
			soon = nil
		case <-tick.C:
		}
		w.weigh(ctx)
	}
}

func (w *Warner) weigh(ctx context.Context) {
	due, told := Weigh(w.Lapses(ctx), w.told, w.Now())
	for _, one := range due {
		w.log(one)
	}
	for _, one := range Gather(due) {
		for i, q := range w.queues {
			select {
			case q <- one:
			default:
				w.Log.Error("a warning is lost: too many wait for this sink", "sink", w.Sinks[i].Name(), "what", one.Text())
			}
		}
	}
	changed := len(due) > 0 || len(told) != len(w.told)
	w.told = told
	if !changed {
		return
	}
	if err := w.keep(); err != nil {
		w.Log.Warn("what was warned of cannot be kept: after a restart it is told again", "error", err)
	}
}

func (w *Warner) log(one Warning) {
	if one.Until.IsZero() {
		w.Log.Warn("something is amiss", "kind", one.Kind, "name", one.Name, "what", one.Text())
		return
	}
	if one.Left <= 0 {
		w.Log.Warn("something has lapsed", "kind", one.Kind, "name", one.Name, "until", one.Until, "what", one.Text())
		return
	}
	w.Log.Warn("something is about to lapse", "kind", one.Kind, "name", one.Name, "until", one.Until, "what", one.Text())
}

// keep writes the file whole before it takes the old one's place.
func (w *Warner) keep() error {
	text, err := json.Marshal(w.told)
	if err != nil {
		return err
	}
	fresh := w.File + ".new"
	if err := os.WriteFile(fresh, text, toldFileMode); err != nil {
		return err
	}
	return os.Rename(fresh, w.File)
}

// carry brings warnings to a sink, one after the other, each until it is taken.
func (w *Warner) carry(ctx context.Context, s Sink, queue <-chan Warning) {
	for {
		select {
		case <-ctx.Done():
			return
		case one := <-queue:
			w.deliver(ctx, s, one)
		}
	}
}

func (w *Warner) deliver(ctx context.Context, s Sink, one Warning) {
	began := time.Now()
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		err := sendOnce(ctx, s, one)
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case errors.Is(err, ErrRefused) || time.Since(began) > patience:
			w.Log.Error("a warning is lost", "sink", s.Name(), "what", one.Text(), "error", err)
			return
		}
		w.Log.Warn("a warning cannot be sent; trying again", "sink", s.Name(), "in", wait, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func sendOnce(ctx context.Context, s Sink, one Warning) error {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	return s.Send(ctx, one)
}
