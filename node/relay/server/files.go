package server

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cordonmesh/cordon/internal/webcert"
)

// Files are a certificate that somebody renews in place, and its key (PEM). What was
// renewed is served within a minute; what cannot be read leaves the one before.
type Files struct {
	Cert, Key string // both or neither
	// Pinned says that nodes know the relay by the pin of its key: one that was renewed
	// with another key is not served before a restart, and the log says so.
	Pinned bool
}

// errOtherKey: nodes that hold the relay to a pin ask no authority, and no date. The
// old certificate serves them however late it is; the new one would cut them off.
var errOtherKey = errors.New("the renewed certificate has another key, by which nodes do not know this relay yet: tell the coordinator its pin (`cordon-relay pin`, `--relay`), then restart the relay")

// open gives nil where there are no files.
func (f Files) open(now func() time.Time, log *slog.Logger) (*webcert.Certificate, error) {
	if f.Cert == "" && f.Key == "" {
		return nil, nil
	}
	cfg := webcert.Config{CertFile: f.Cert, KeyFile: f.Key, Name: "relay: the certificate", Now: now, Log: log}
	if f.Pinned {
		cfg.OtherKey = errOtherKey
	}
	return webcert.Load(cfg)
}

// registerEnd has the end of what is served scraped. The relay's own certificate has none.
func registerEnd(r prometheus.Registerer, renewed *webcert.Certificate) error {
	if renewed == nil {
		return nil
	}
	return r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "cordon_relay_certificate_end_timestamp_seconds",
		Help: "When the certificate that is served ends, in seconds since 1970."}, func() float64 {
		_, until := renewed.Life()
		return float64(until.Unix())
	}))
}
