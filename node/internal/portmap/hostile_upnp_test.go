package portmap_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/cordonmesh/cordon/node/internal/portmap"
)

// third is a machine that nobody may be led to: it counts who came.
func third(t *testing.T) (url string, came *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	came = new(atomic.Int32)
	var loop sync.WaitGroup
	loop.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			came.Add(1)
			conn.Close()
		}
	})
	t.Cleanup(func() { l.Close(); loop.Wait() })
	return "http://" + l.Addr().String(), came
}

// TestNobodyLeadsToAThirdMachine: neither SSDP's LOCATION, nor a description, nor
// a redirect of either page.
func TestNobodyLeadsToAThirdMachine(t *testing.T) {
	var checks []func() // afterwards: all wait together for the time that a gateway has to answer
	for name, lead := range map[string]func(r *router, url string){
		"LOCATION":                    func(r *router, url string) { r.web.location = url + "/description.xml" },
		"LOCATION with a user":        func(r *router, url string) { r.web.location = "http://127.0.0.1@" + url[len("http://"):] },
		"LOCATION by name":            func(r *router, url string) { r.web.location = strings.Replace(r.web.url, "127.0.0.1", "localhost", 1) },
		"control page":                func(r *router, url string) { r.web.at = url + "/control" },
		"control page by name":        func(r *router, url string) { r.web.at = strings.Replace(r.web.url, "127.0.0.1", "localhost", 1) },
		"control page without scheme": func(r *router, url string) { r.web.at = url[len("http:"):] },
		"redirect of the description": func(r *router, url string) { r.web.describe = http.RedirectHandler(url, http.StatusFound) },
		"redirect of a POST":          func(r *router, url string) { r.web.control = http.RedirectHandler(url, http.StatusTemporaryRedirect) },
		"redirect at the gateway":     func(r *router, url string) { r.web.describe = http.RedirectHandler("/x", http.StatusMovedPermanently) },
	} {
		url, came := third(t)
		r := newRouter("UPnP")
		prepare := r.onLoopback(t, "127.0.0.1")
		r.set(func() { lead(r, url) })
		n := run(t, func(c *portmap.Client) { prepare(c); c.SetNetwork(loopback("127.0.0.1", 41641)) })
		checks = append(checks, func() {
			if s := n.until(t, func(s portmap.Status) bool { return mapped(s) || failed(s) }); mapped(s) {
				t.Errorf("%s: the status is %+v", name, s)
			}
			n.stop()
			if came.Load() != 0 {
				t.Errorf("%s: it spoke to the third machine", name)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if slices.Contains(r.web.hits, "GET /x") {
				t.Errorf("%s: it followed a redirect", name)
			}
		})
	}
	for _, check := range checks {
		check()
	}
}

// TestSSDPFromElsewhere is not believed, even if it names the gateway's page.
func TestSSDPFromElsewhere(t *testing.T) {
	liar, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)})
	if err != nil {
		t.Fatal(err)
	}
	defer liar.Close()
	r := newRouter("UPnP")
	r.ambush = func(from netip.AddrPort, request []byte) {
		if bytes.HasPrefix(request, []byte("M-SEARCH")) {
			liar.WriteToUDPAddrPort(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nLOCATION: %s/trap\r\n\r\n", r.web.url), from)
		}
	}
	prepare := r.onLoopback(t, "127.0.0.1")
	n := run(t, func(c *portmap.Client) { prepare(c); c.SetNetwork(loopback("127.0.0.1", 41641)) })
	n.until(t, mapped)
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.web.hits, "GET /trap") {
		t.Error("it went where another host sent it")
	}
}

// page serves fixed bytes.
func page(header map[string]string, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.Write([]byte(body))
	})
}

// endless sends text until the reader leaves, and counts the bytes.
func endless(sent *atomic.Int64, text string, pause time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		for {
			n, err := w.Write([]byte(text))
			sent.Add(int64(n))
			if err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			time.Sleep(pause)
		}
	})
}

// TestPagesThatAreTooMuch end in words, soon, and at a bounded cost.
func TestPagesThatAreTooMuch(t *testing.T) {
	const open = `<root xmlns="urn:schemas-upnp-org:device-1-0"><device>`
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(bytes.Repeat([]byte("<device/>"), 1<<20))
	z.Close()
	var sent atomic.Int64
	for name, h := range map[string]http.Handler{
		"endless":        endless(&sent, open+strings.Repeat(" ", 4096), 0),
		"slow":           endless(&sent, " ", time.Second),
		"devices":        page(nil, open+"<deviceList>"+strings.Repeat("<device/>", 1<<20)),
		"depth":          page(nil, strings.Repeat("<a>", 1<<20)),
		"nested devices": page(nil, open+strings.Repeat("<deviceList><device>", 1<<20)),
		"entities": page(nil, `<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>`+
			open+`<friendlyName>&b;</friendlyName></device></root>`),
		"compressed":     page(map[string]string{"Content-Encoding": "gzip"}, zipped.String()),
		"header":         page(map[string]string{"X": strings.Repeat("x", 1<<20)}, open),
		"another format": page(nil, "\x00\x01\x02"),
		"charset":        page(nil, `<?xml version="1.0" encoding="utf-7"?>`+open),
	} {
		for _, at := range []string{"description", "control"} {
			synctest.Test(t, func(t *testing.T) {
				a := newAir(t)
				r := a.put("192.168.1.1", newRouter("UPnP"))
				if at == "control" {
					r.web.control = h
				} else {
					r.web.describe = h
				}
				sent.Store(0)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				began := time.Now()
				n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
				s := n.until(t, failed)
				n.stop()
				runtime.ReadMemStats(&after)
				if mapped(s) || !strings.Contains(s.Why, "UPnP: ") || len(s.Why) > 500 {
					t.Errorf("%s %s: the status is %+v", name, at, s)
				}
				if name == "endless" && at == "description" && !strings.Contains(s.Why, "too long") {
					t.Errorf("%s %s: why is %q", name, at, s.Why)
				}
				if name == "header" && !strings.Contains(s.Why, "headers exceeded") {
					t.Errorf("%s %s: why is %q", name, at, s.Why)
				}
				if d := time.Since(began); d > 4*time.Second {
					t.Errorf("%s %s took %v", name, at, d)
				}
				if cost := after.TotalAlloc - before.TotalAlloc; cost > 100<<20 {
					t.Errorf("%s %s cost %d MiB", name, at, cost>>20)
				}
				// What the writer buffers is never read.
				if sent.Load() > portmap.MaxBody+(64<<10) {
					t.Errorf("%s %s: the gateway could send %d bytes", name, at, sent.Load())
				}
			})
		}
	}
}

// TestManyConnections: a few of those that a description names are looked at.
func TestManyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAir(t)
		r := a.put("192.168.1.1", newRouter("UPnP"))
		const one = `<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>/c</controlURL></service>`
		r.web.describe = page(nil, `<root xmlns="urn:schemas-upnp-org:device-1-0"><device><serviceList>`+strings.Repeat(one, 100)+`</serviceList></device></root>`)
		r.web.control = http.NotFoundHandler()
		n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
		n.until(t, failed)
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.web.hits) > 5 {
			t.Errorf("it read %d pages", len(r.web.hits))
		}
	})
}

// TestWordsOfAGateway are shown without what would steer a terminal.
func TestWordsOfAGateway(t *testing.T) {
	const open = `<root xmlns="urn:schemas-upnp-org:device-1-0"><device>`
	for _, body := range []string{
		"<\x1b[2J>", open + "</y\u00ad\u200b>", open + "</" + strings.Repeat("b", 10_000) + ">", open + "</\x1b[31mb>", open + "</\xff>", open + "<a b='\u0007'></c>",
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newAir(t)
			r := a.put("192.168.1.1", newRouter("UPnP"))
			r.web.describe = page(nil, body)
			n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
			s := n.until(t, failed)
			if strings.ContainsFunc(s.Why, func(c rune) bool { return !unicode.IsPrint(c) }) || len(s.Why) > 500 {
				t.Errorf("why is %q", s.Why)
			}
		})
	}
}

// TestControlPageThatMoves, as after a restart of the gateway, is found again;
// while it cannot be found, nothing breaks.
func TestControlPageThatMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, r := lives(t, "UPnP")
		n.until(t, mapped)
		gone := http.NotFoundHandler()
		r.set(func() { r.web.describe, r.web.control = gone, gone })
		time.Sleep(portmap.Lifetime * 15 / 16)
		moved := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.URL.Path == "/elsewhere" {
				r.serveControl(w, q)
				return
			}
			gone.ServeHTTP(w, q)
		})
		r.set(func() { r.web.describe, r.web.control, r.web.at = nil, moved, "/elsewhere" })
		n.SetNetwork(home())
		time.Sleep(10 * time.Second)
		if s := n.Status(); !mapped(s) || time.Until(s.Until) < portmap.Lifetime/2 {
			t.Errorf("the status is %+v", s)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if !slices.Contains(r.web.hits, "POST /elsewhere") {
			t.Error("nobody asked at the new place")
		}
	})
}
