package coordinator

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A06: a request that is refused before its body was read, and whose body never
// comes, holds its connection for no longer than the bound.
func TestDrippingBodyEnds_A06(t *testing.T) {
	refusing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	s := httptest.NewServer(readWithin(100*time.Millisecond, refusing))
	defer s.Close()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ndrip")
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF && !isReset(err) {
		t.Errorf("after the refusal the connection gives %v, want its end", err)
	}
}

// A long answer to a request that came whole is not cut off.
func TestLongAnswerOutlivesTheReadDeadline(t *testing.T) {
	const within = 50 * time.Millisecond
	s := httptest.NewServer(readWithin(within, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
			t.Error("the request ended with its read deadline")
		case <-time.After(6 * within):
		}
		io.WriteString(w, "done")
	})))
	defer s.Close()
	resp, err := http.Post(s.URL, "text/plain", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "done" {
		t.Errorf("%q, %v", got, err)
	}
}

func isReset(err error) bool {
	op, ok := err.(*net.OpError)
	return ok && !op.Timeout()
}

// A06: one address holds so many connections and no more, and gets room again
// when some of them end; others are not concerned.
func TestConnectionsPerAddress_A06(t *testing.T) {
	c := newConnections(2)
	open := func(from string) *fakeConn {
		f := &fakeConn{from: from}
		c.state(f, http.StateNew)
		c.state(f, http.StateActive)
		return f
	}
	a, b := open("192.0.2.1:1"), open("192.0.2.1:2")
	if over := open("192.0.2.1:3"); !over.closed {
		t.Error("a third connection of one address stands")
	} else {
		c.state(over, http.StateClosed)
	}
	if a.closed || b.closed || open("192.0.2.9:1").closed {
		t.Error("a connection within the bound was ended")
	}
	c.state(a, http.StateClosed)
	if open("[::ffff:192.0.2.1]:4").closed {
		t.Error("there is no room again")
	}
	open("[2001:db8::1]:1")
	open("[2001:db8::2]:1")
	if !open("[2001:db8::3]:1").closed || open("[2001:db8:0:1::1]:1").closed {
		t.Error("a network of 64 bits is not one address")
	}
	c.state(&fakeConn{from: "192.0.2.9:1"}, http.StateClosed)
	if _, kept := c.of[netip.MustParsePrefix("192.0.2.9/32")]; kept {
		t.Error("an address without connections is remembered")
	}
	for range 3 {
		if open("127.0.0.1:1").closed {
			t.Error("the machine itself is counted")
		}
	}
}

type fakeConn struct {
	net.Conn
	from   string
	closed bool
}

func (f *fakeConn) Close() error { f.closed = true; return nil }
func (f *fakeConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.from))
}
