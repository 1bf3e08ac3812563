package webcert_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/internal/webcert"
)

// book is a log that is read while it is written.
type book struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// What nobody renews is told of at 7 days, 1 day and the end, once each; what was
// renewed is served though nobody calls, and is told of no more; a day's certificate
// is about to end at no step but its end.
func TestServedCertificateIsWarnedOf(t *testing.T) {
	const day = 24 * time.Hour
	o, k, log := opened(t), newKey(t), &book{}
	synctest.Test(t, func(t *testing.T) {
		o.now = time.Now()
		o.renew(k, 9)
		c, err := webcert.Load(webcert.Config{CertFile: o.cert, KeyFile: o.key, Name: "the certificate", Now: time.Now, Log: slog.New(slog.NewTextHandler(log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Watch(ctx) }()
		said := func(when string, abouts, ended int) {
			t.Helper()
			synctest.Wait()
			if text := log.String(); strings.Count(text, "about to end") != abouts || strings.Count(text, "has ended") != ended {
				t.Errorf("%s: want %d and %d:\n%s", when, abouts, ended, text)
			}
		}
		time.Sleep(time.Minute)
		said("with 9 days left", 0, 0)
		time.Sleep(2*day + time.Minute)
		said("with less than 7 left", 1, 0)
		time.Sleep(4 * day)
		said("with less than 3 left", 1, 0)
		time.Sleep(2 * day)
		said("with less than 1 left", 2, 0)
		o.now = time.Now()
		o.renew(k, 1)
		time.Sleep(2 * time.Minute)
		if _, until := c.Life(); !until.After(time.Now().Add(23 * time.Hour)) {
			t.Errorf("nobody called, and what was renewed is not served: %v", until)
		}
		time.Sleep(20 * time.Hour)
		said("renewed, for a day", 2, 0)
		time.Sleep(4 * time.Hour)
		said("at its end", 2, 1)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
