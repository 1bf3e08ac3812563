package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/node/local"
)

// pingEvery is how long after an answer the next ping leaves.
const pingEvery = 500 * time.Millisecond

func ping(c *cli.Context) error {
	if c.NArg() != 1 {
		return errors.New("want a PEER, its name or mesh address: see `cordon ping --help`")
	}
	count := c.Int("count")
	if count < 1 || count > 1000 {
		return usage.Bad("count", strconv.Itoa(count), "1 to 1000")
	}
	api := daemon(c)
	defer api.Close()
	answered := false
	for i := range count {
		if i > 0 {
			select {
			case <-c.Context.Done():
				return c.Context.Err()
			case <-time.After(pingEvery):
			}
		}
		r, err := api.Ping(c.Context, local.PingRequest{Target: c.Args().First()})
		if err != nil {
			return err
		}
		answered = answered || r.Error == ""
		if err := printPing(c, r); err != nil {
			return err
		}
	}
	if !answered {
		return errors.New("no answer")
	}
	return nil
}

func printPing(c *cli.Context, r *local.PingResponse) error {
	if usage.WantsJSON(c) {
		return usage.PrintJSON(r)
	}
	if r.Error != "" {
		fmt.Printf("%s: %s\n", r.Peer, r.Error)
		return nil
	}
	way := "directly at " + r.Endpoint
	if r.Relay != "" {
		way = "through relay " + r.Relay
	}
	fmt.Printf("%s (%s) answered in %s, %s\n", r.Peer, r.Address, delay(r.RTT), way)
	return nil
}
