package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// services are the hospital's applications: plain HTTP servers on loopback,
// which the mesh reaches only through the node that exposes them.
type services struct {
	servers map[string]*http.Server
	at      map[string]string
}

func newServices() *services {
	s := &services{servers: map[string]*http.Server{}, at: map[string]string{}}
	for _, name := range []string{"ehr", "pacs", "finance"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			continue // the step that needs it will fail and say so
		}
		srv := &http.Server{Handler: handler(name), ReadHeaderTimeout: 5 * time.Second}
		s.servers[name], s.at[name] = srv, l.Addr().String()
		go srv.Serve(l) // ends with close
	}
	return s
}

func (s *services) address(name string) string { return s.at[name] }

func (s *services) close() {
	for _, srv := range s.servers {
		srv.Close()
	}
}

// handler answers / with the service's name, and /study with a download that
// would take minutes: 64 KiB every 20 ms, without end.
func handler(name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "hello from %s\n", name) })
	mux.HandleFunc("/study", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/dicom")
		block := make([]byte, 64<<10)
		for i := 0; ; i++ {
			copy(block, strconv.Itoa(i))
			if _, err := w.Write(block); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return mux
}

// fetch reads a page through a node's SOCKS5 door.
func fetch(client *http.Client, url string) (string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return fmt.Sprintf("%s %s", resp.Status, firstLine(string(body))), err
}
