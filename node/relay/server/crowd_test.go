package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/relaytest"
)

// crowdVariable in its environment makes this test's program a crowd: a process
// whose only business is connections that stand. A second process has the files
// and the memory that are not the relay's.
const crowdVariable = "CORDON_TEST_CROWD"

// crowd is that process, seen from here.
type crowd struct {
	root key.Fingerprint // of its mesh
	in   io.Writer
	out  *bufio.Reader
}

func newCrowd(b *testing.B) *crowd {
	b.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), crowdVariable+"=1")
	c.Stderr = os.Stderr
	in, err1 := c.StdinPipe()
	out, err2 := c.StdoutPipe()
	if err1 != nil || err2 != nil || c.Start() != nil {
		b.Fatal("the crowd does not start:", err1, err2)
	}
	b.Cleanup(func() { in.Close(); c.Wait() })
	r := bufio.NewReader(out)
	var text string
	if _, err := fmt.Fscanln(r, &text); err != nil {
		b.Fatal(err)
	}
	root, err := key.ParseFingerprint(text)
	if err != nil {
		b.Fatal(err)
	}
	return &crowd{root, in, r}
}

// stand has n connections to h opened, and pinging, until the benchmark ends.
func (c *crowd) stand(b *testing.B, h *relaytest.Host, n int) {
	b.Helper()
	fmt.Fprintln(c.in, h.Address, h.Pin, n)
	var stands int
	if _, err := fmt.Fscanln(c.out, &stands); err != nil || stands != n {
		b.Fatal(stands, "stand:", err)
	}
}

// beCrowd is the process itself. It ends with its standard input.
func beCrowd() error {
	m := relaytest.NewMesh()
	fmt.Println(m.Fingerprint())
	var address, pin string
	var n int
	if _, err := fmt.Scanln(&address, &pin, &n); err != nil {
		return err
	}
	p, err := relay.ParsePin(pin)
	if err != nil {
		return err
	}
	d := &relay.Dialer{URL: "https://" + address, Pin: p}
	streams := make([]*relay.Stream, n)
	for i := range streams {
		if streams[i], _, err = welcomed(context.Background(), m, d); err != nil {
			return err
		}
	}
	fmt.Println(n)
	go func() {
		for i := 0; ; i++ {
			streams[i%n].Write(relay.Append(nil, relay.TypePing, make([]byte, relay.PingSize)))
			time.Sleep(20 * time.Second / time.Duration(n))
		}
	}()
	io.Copy(io.Discard, os.Stdin)
	return nil
}
