//go:build depskeep

package cordon

import (
	_ "connectrpc.com/connect"
	_ "filippo.io/age"
	_ "github.com/gaissmai/bart"
	_ "github.com/pion/stun/v3"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/tailscale/hujson"
	_ "github.com/urfave/cli/v2"
	_ "github.com/vishvananda/netlink"
	_ "github.com/vishvananda/netns"
	_ "go.uber.org/goleak"
	_ "golang.org/x/crypto/hkdf"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/net/dns/dnsmessage"
	_ "golang.org/x/net/proxy"
	_ "golang.org/x/term"
	_ "golang.zx2c4.com/wireguard/conn/bindtest"
	_ "golang.zx2c4.com/wireguard/device"
	_ "golang.zx2c4.com/wireguard/tun/netstack"
	_ "golang.zx2c4.com/wireguard/tun/tuntest"
	_ "google.golang.org/protobuf/proto"
	_ "gvisor.dev/gvisor/pkg/tcpip/stack"
	_ "modernc.org/sqlite"
	_ "pgregory.net/rapid"
)
