package dns

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
)

// maxResolvConf bounds what is read of a resolv.conf.
const maxResolvConf = 64 << 10

// resolvConf puts a line of ours before those of a resolv.conf, in place: the
// file keeps its owner, its label and its mount, and all that it said. So what
// a crash leaves is a file whose first name server answers at once that nobody
// is there, and whose others are asked next.
type resolvConf struct {
	path  string
	iface string
}

func (f resolvConf) mark() string { return "# cordon " + f.iface + ": " }

func (f resolvConf) server() string { return "nameserver " + Loopback(f.iface).String() }

// block is what we put first.
func (f resolvConf) block() string {
	return f.mark() + "the next line goes when the daemon ends; after a killed one, `cordon dns-restore` takes it out\n" + f.server() + "\n"
}

// errUnmanaged says why a file is left as it is.
var errUnmanaged = errors.New("it names no name server, so nobody would answer when the daemon is not there: name one, or use --dns serve")

func (f resolvConf) read() ([]byte, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return f.readAll(file)
}

func (f resolvConf) readAll(file *os.File) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(file, maxResolvConf+1))
	if err == nil && len(text) > maxResolvConf {
		err = fmt.Errorf("%s has more than %d bytes", f.path, maxResolvConf)
	}
	return text, err
}

// errMeanwhile says that what was read is not there any more.
var errMeanwhile = errors.New("another program changed it meanwhile")

// edit changes the content in place. What is written was read from the same file
// a moment before: of a program that put another into its place, or wrote to this
// one, nothing is overwritten by what it replaced.
func (f resolvConf) edit(change func([]byte) ([]byte, error)) (err error) {
	file, err := os.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	before, err := file.Stat()
	if err != nil {
		return err
	}
	old, err := f.readAll(file)
	if err != nil {
		return err
	}
	text, err := change(old)
	if err != nil || bytes.Equal(old, text) {
		return err
	}
	if now, err := file.Stat(); err != nil || !now.ModTime().Equal(before.ModTime()) || now.Size() != int64(len(old)) {
		return fmt.Errorf("%s: %w", f.path, errors.Join(errMeanwhile, err))
	}
	return overwrite(file, old, text)
}

// overwrite writes all in one call; a shorter text is filled up with empty lines
// first, so that a crash before the file is cut leaves nothing that could be read.
func overwrite(file *os.File, old, text []byte) error {
	padded := append(bytes.Clone(text), bytes.Repeat([]byte("\n"), max(0, len(old)-len(text)))...)
	_, err := file.WriteAt(padded, 0)
	if err == nil {
		err = file.Truncate(int64(len(text)))
	}
	if err == nil {
		err = file.Sync()
	}
	return err
}

// without takes our lines out of a text, wherever somebody moved them to.
func (f resolvConf) without(text []byte) []byte {
	var kept []byte
	for line := range bytes.Lines(text) {
		word := strings.TrimSpace(string(line))
		if !strings.HasPrefix(word, strings.TrimSpace(f.mark())) && word != f.server() {
			kept = append(kept, line...)
		}
	}
	return kept
}

// stands tells whether our server is asked before all that we do not know.
func (f resolvConf) stands(text []byte) bool {
	for _, a := range nameservers(text) {
		if a == Loopback(f.iface) {
			return true
		}
		if !ours(a) {
			return false
		}
	}
	return false
}

// ours tells the address on which some Cordon of this machine answers.
func ours(a netip.Addr) bool {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 67}), 16).Contains(a)
}

// originals gives the servers that are asked after us: of two meshes the one
// further up asks the other, and never the reverse.
func (f resolvConf) originals(text []byte) (servers []netip.AddrPort) {
	list := nameservers(text)
	for i, a := range list {
		if a == Loopback(f.iface) {
			list = list[i+1:]
			break
		}
	}
	for _, a := range list {
		if a != Loopback(f.iface) {
			servers = append(servers, netip.AddrPortFrom(a, port))
		}
	}
	return servers
}

// nameservers reads the addresses that a resolv.conf names, in order.
func nameservers(text []byte) (found []netip.Addr) {
	for line := range bytes.Lines(text) {
		words := strings.Fields(string(line))
		if len(words) >= 2 && words[0] == "nameserver" {
			if a, err := netip.ParseAddr(words[1]); err == nil {
				found = append(found, a.Unmap())
			}
		}
	}
	return found
}

// insert puts our block first.
func (f resolvConf) insert() error {
	return f.edit(func(old []byte) ([]byte, error) {
		rest := f.without(old)
		if len(nameservers(rest)) == 0 {
			return nil, fmt.Errorf("%s is left as it is: %w", f.path, errUnmanaged)
		}
		return append([]byte(f.block()), rest...), nil
	})
}

// remove takes our block out, and tells whether there was one. A file without it
// is not even opened for writing.
func (f resolvConf) remove() (bool, error) {
	text, err := f.read()
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil || len(f.without(text)) == len(text) {
		return false, err
	}
	return true, f.edit(func(old []byte) ([]byte, error) { return f.without(old), nil })
}

// ResolvConf is where a machine's programs look for name servers.
const ResolvConf = "/etc/resolv.conf"

// Restore takes out what a killed daemon of that interface left in a resolv.conf,
// and tells whether there was something.
func Restore(path, iface string) (bool, error) {
	return resolvConf{path: path, iface: iface}.remove()
}
