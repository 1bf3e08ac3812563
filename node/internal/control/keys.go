package control

import (
	"fmt"
	"os"
	"strings"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Keys are a node's private keys. They are made here and never leave the
// machine.
type Keys struct {
	Node   key.NodePrivate
	Tunnel key.TunnelPrivate
	Path   key.PathPrivate
}

// Keys reads the node's keys, or makes those that are not there yet. A damaged
// key file is an error, never a reason to make a new identity; so is a node key
// that is missing while an identity rests on it. Tunnel key and path key may be
// replaced: removing their files is how.
func (d *Dir) Keys() (*Keys, error) {
	k := new(Keys)
	if _, err := os.Lstat(d.file(identityFile)); err == nil {
		if _, err := os.Stat(d.file(nodeKeyFile)); err != nil {
			return nil, fmt.Errorf("this node is enrolled, and its node key cannot be read: restore it, or remove the state directory and enrol again: %w", err)
		}
	}
	if err := readKey(d, nodeKeyFile, &k.Node, key.ParseNodePrivate, key.NewNode); err != nil {
		return nil, err
	}
	if err := readKey(d, "tunnel.key", &k.Tunnel, key.ParseTunnelPrivate, key.NewTunnel); err != nil {
		return nil, err
	}
	if err := readKey(d, "path.key", &k.Path, key.ParsePathPrivate, key.NewPath); err != nil {
		return nil, err
	}
	return k, nil
}

const nodeKeyFile = "node.key"

func readKey[K any, P interface {
	*K
	Secret() string
}](d *Dir, name string, into P, parse func(string) (K, error), fresh func() K) error {
	text, err := d.read(name)
	if err != nil {
		return err
	}
	if text == nil {
		*into = fresh()
		return d.write(name, []byte(into.Secret()+"\n"))
	}
	k, err := parse(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("%s does not hold a key: restore it, or remove the state directory and enrol again: %w", d.file(name), err)
	}
	*into = k
	return nil
}
