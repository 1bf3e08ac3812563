package standing

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	maxForm = 32 << 10
	maxSeen = 100_000 // logout tokens that are remembered until they end

	// How often one address may tell something: at once, and per second. What is wrong
	// counts tenfold, for to find that out can mean to ask the provider for its keys.
	toldAtOnce    = 200
	toldPerSecond = 20
	wrongWeight   = 10
	maxAddresses  = 2_000
)

var (
	errForm  = errors.New("want a form with a logout_token")
	errTwice = errors.New("this logout token came before, or too many come")
)

// Door is where a provider tells that it ended a session.
type Door struct {
	Config

	complaints *rate.Limiter // in the log, which no stranger fills

	mu    sync.Mutex
	seen  map[string]time.Time // ids of tokens, until they end
	paces map[netip.Prefix]*rate.Limiter
}

// NewDoor makes the door.
func NewDoor(c Config) *Door {
	return &Door{Config: c, complaints: rate.NewLimiter(rate.Every(time.Minute), 10), seen: map[string]time.Time{}, paces: map[netip.Prefix]*rate.Limiter{}}
}

// ServeHTTP answers as sections 2.5 to 2.8 say: 200 if the sessions are ended, also if
// there were none, and 400 otherwise.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	pace := d.pace(r.RemoteAddr)
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	case !pace.AllowN(d.Now(), 1):
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	if err := d.receive(w, r); err != nil {
		pace.ReserveN(d.Now(), wrongWeight-1)
		if d.complaints.AllowN(d.Now(), 1) {
			d.Log.Warn("what was to sign somebody out is refused", "from", r.RemoteAddr, "error", err)
		}
		refuse(w)
	}
}

func (d *Door) receive(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return errForm
	}
	out, err := d.Read(r.Context(), r.PostForm.Get("logout_token"))
	if err != nil {
		return err
	}
	if !d.first(out) {
		return errTwice
	}
	if err := d.end(r.Context(), out.Subject, out.SID); err != nil {
		d.forget(out) // it did nothing yet, and the provider may tell it again
		return err
	}
	return nil
}

// refuse is section 2.8's answer to what is wrong. Why it is, the log alone says:
// anybody may ask.
func refuse(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	json.NewEncoder(w).Encode(map[string]string{"error": "invalid_request", "error_description": "it cannot be obeyed: the coordinator's log says why"})
}

// first tells whether a token was not seen before, and remembers it.
func (d *Door) first(out Logout) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.Now()
	if len(d.seen) >= maxSeen {
		for id, until := range d.seen {
			if !now.Before(until) {
				delete(d.seen, id)
			}
		}
	}
	if until, known := d.seen[out.ID]; known && now.Before(until) || len(d.seen) >= maxSeen {
		return false
	}
	d.seen[out.ID] = out.Until
	return true
}

func (d *Door) forget(out Logout) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.seen, out.ID)
}

// pace gives the pace of an address: the connection's, whatever a header says.
func (d *Door) pace(from string) *rate.Limiter {
	var where netip.Prefix
	if at, err := netip.ParseAddrPort(from); err == nil {
		bits := 64
		if at.Addr().Unmap().Is4() {
			bits = 32
		}
		where, _ = at.Addr().Unmap().WithZone("").Prefix(bits)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.paces) >= maxAddresses {
		clear(d.paces)
	}
	if d.paces[where] == nil {
		d.paces[where] = rate.NewLimiter(toldPerSecond, toldAtOnce)
	}
	return d.paces[where]
}
