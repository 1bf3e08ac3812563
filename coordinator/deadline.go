package coordinator

import (
	"net/http"
	"time"
)

// readWithin ends requests whose body drips: also one that is refused unread
// holds its connection until the rest of it has come. Who has read the body to
// its end may take any time to answer: the server lifts the deadline there.
func readWithin(most time.Duration, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(most)); err != nil {
			http.Error(w, "no deadline on this connection", http.StatusInternalServerError)
			return
		}
		h.ServeHTTP(w, r)
	})
}
