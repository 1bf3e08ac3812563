//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
)

// roleUpgraded is this program as the least that could hold as many connections
// as a relay: net/http gives each away after its Upgrade, as it does to a relay,
// and one goroutine reads it. What comes is sent back.
const roleUpgraded = "upgraded"

// playUpgraded serves at the address until ctx is done.
func playUpgraded(ctx context.Context, address string) error {
	own := key.NewNode()
	cert, err := wire.SelfSigned(&own)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	var g group
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			// The HTTP server's own goroutine ends here, with its buffers and its stack.
			g.start(func() { echoUpgraded(ctx, conn) })
		})}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	// As the relay has it: no resumption, HTTP/1.1, full records.
	err = server.Serve(tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
		Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true}))
	g.wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// echoUpgraded waits for a first byte without a buffer: one who only stands
// costs none.
func echoUpgraded(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	answer := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + relay.UpgradeToken + "\r\n\r\n"
	if _, err := io.WriteString(conn, answer); err != nil {
		return
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		return
	}
	if _, err := conn.Write(first); err != nil {
		return
	}
	_, _ = io.Copy(struct{ io.Writer }{conn}, conn) // ends with the connection
}
