package integration

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/integration/lab"
)

// secret is something that only one file may hold.
type secret struct {
	what    string
	home    string   // the file; empty: none
	needles [][]byte // every way in which it might be written
}

// written gives a secret's bytes as programs print them: raw, in hexadecimal,
// as numbers, and in base64 wherever in a longer text it might begin.
func written(b []byte) [][]byte {
	out := [][]byte{b, []byte(hex.EncodeToString(b)), []byte(strings.ToUpper(hex.EncodeToString(b))), []byte(strings.Trim(fmt.Sprint(b), "[]"))}
	for _, code := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for shift := range 3 {
			text := code.EncodeToString(append(make([]byte, shift), b...))
			// What a neighbour's bits are mixed into stands at both ends.
			out = append(out, []byte(text[4:(len(b)+shift)/3*4]))
		}
	}
	return out
}

// text is a secret that is a text.
func text(what, home, value string) secret {
	needles := append(written([]byte(value)), []byte(strings.ToLower(value)), []byte(strings.ToUpper(value)))
	return secret{what, home, needles}
}

// fileKey reads a key's file: a line with "kind:hexadecimal".
func fileKey(t *testing.T, path string) secret {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	raw, err := hex.DecodeString(line[strings.LastIndexByte(line, ':')+1:])
	if err != nil || len(raw) != 32 {
		t.Fatalf("%s does not begin with a key in hexadecimal: %d bytes, %v", path, len(raw), err)
	}
	return secret{path, path, written(raw)}
}

// authorityKey reads the private key of the mesh's certificate authority.
func authorityKey(t *testing.T, path string) secret {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("%s holds no PEM", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		t.Fatalf("%s holds no Ed25519 key: %v", path, err)
	}
	return secret{path, path, written(private.Seed())}
}

// keysOf gives every private key of the mesh.
func (s *scene) keysOf(t *testing.T) (all []secret) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		for _, file := range []string{"node.key", "tunnel.key", "path.key"} {
			all = append(all, fileKey(t, filepath.Join(s.nodes[name].State, file)))
		}
	}
	keys := filepath.Join(s.coordinator.State, "keys")
	all = append(all, fileKey(t, filepath.Join(keys, "root.key")), fileKey(t, filepath.Join(keys, "map.key")), authorityKey(t, filepath.Join(keys, "ca.pem")))
	return append(all, text("the recovery key", "", s.coordinator.Recovery))
}

// secretOf gives the part of an enrolment string that is secret.
func secretOf(t *testing.T, what, enrolment string) secret {
	t.Helper()
	value := enrolment[strings.LastIndexByte(enrolment, '.')+1:]
	if len(value) < 20 {
		t.Fatalf("%s: no secret in the enrolment string", what)
	}
	return text(what, "", value)
}

// A58: after everything that operators and machines do, also when it fails, no
// enrolment secret and no private key is anywhere but in the file that is made
// for it: not in a log at its most talkative, an answer, the audit, the
// database, an argument, an environment, a backup, or on the wire.
func TestSecretsAreNowhereElse_A58(t *testing.T) {
	s := raiseOn(t, lab.Segment("hub", "ward", "ehr", "late"), clinic)
	if s == nil {
		return
	}
	s.talkative(t)
	wire := s.Host("hub").Capture("eth0", nil)
	said := map[string]string{} // by what said it
	var secrets []secret
	for name, owner := range map[string]string{"ward": "nina@hospital.example", "ehr": "tag:ehr"} {
		enrolment := s.coordinator.Token(owner)
		secrets = append(secrets, secretOf(t, "the token of "+name, enrolment))
		d := s.programs.StartDaemon(s.Host(name), "--log-level", "debug")
		s.nodes[name] = d
		said["cordon up on "+name] = s.joinWatched(t, d, enrolment, said)
	}
	secrets = append(secrets, s.failures(t, said)...)
	s.settle()
	s.serve("ehr", 443)
	s.served("ward", "tcp", s.at("ehr", 443)[0])
	s.everyAnswer(t, said)

	secrets = append(secrets, s.keysOf(t)...)
	s.leave(t, wire, said)
	hunt(t, secrets, said)
}

// leave stops everything, and adds what it leaves: logs, packets, files.
func (s *scene) leave(t *testing.T, wire *lab.Capture, said map[string]string) {
	t.Helper()
	for _, d := range s.nodes {
		said["the log of "+d.Name] = d.Process.Log()
		d.Process.Stop(patience)
	}
	s.coordinator.Process.Stop(patience)
	said["the coordinator's log"] = s.coordinator.Process.Log()
	packets, err := wire.Stop()
	if err != nil || len(packets) == 0 {
		t.Errorf("%d packets were captured: %v", len(packets), err)
	}
	said["the wire"] = string(bytes.Join(packets, nil))
	for path, content := range files(t, filepath.Dir(s.coordinator.State)) {
		said[filepath.Join(filepath.Dir(s.coordinator.State), path)] = content
	}
}

// hunt looks for every secret in everything, and wants each in its home.
func hunt(t *testing.T, secrets []secret, said map[string]string) {
	t.Helper()
	for _, hidden := range secrets {
		for _, where := range slices.Sorted(maps.Keys(said)) {
			at := slices.IndexFunc(hidden.needles, func(n []byte) bool { return strings.Contains(said[where], string(n)) })
			if at >= 0 && where != hidden.home {
				t.Errorf("%s is in %s (in form %d)", hidden.what, where, at)
			}
			if at < 0 && where == hidden.home {
				t.Errorf("%s is not even in its own file: the hunt finds nothing", hidden.what)
			}
		}
		if _, ok := said[hidden.home]; hidden.home != "" && !ok {
			t.Errorf("%s was not looked at", hidden.home)
		}
	}
	t.Logf("%d secrets were looked for in %d places", len(secrets), len(said))
}

// talkative starts the coordinator again with everything in its log.
func (s *scene) talkative(t *testing.T) {
	t.Helper()
	c := s.coordinator
	if err := c.Process.Stop(patience); err != nil {
		t.Fatal(err)
	}
	c.Process = c.Host.Start("coordinator", s.programs.Path("cordon-coordinator"), "serve", "--state", c.State,
		"--listen", c.Address.String(), "--metrics", c.Metrics.String(), "--log-level", "debug")
	lab.Eventually(t, patience, "the coordinator answers", func() (bool, string) {
		_, err := c.TryCtl("", "status")
		return err == nil, fmt.Sprint(err)
	})
}

// joinWatched joins, and looks meanwhile at what the machine's other users see
// of the command that holds the secret, and of the daemon.
func (s *scene) joinWatched(t *testing.T, d *lab.Daemon, enrolment string, said map[string]string) string {
	t.Helper()
	cmd := d.Host.Command(t.Context(), s.programs.Path("cordon"), "--socket", d.Socket(), "up", "--name", d.Name)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, patience, "cordon up runs", func() (bool, string) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
		return bytes.HasPrefix(line, []byte(s.programs.Path("cordon"))), fmt.Sprint(string(line), err)
	})
	io.WriteString(in, enrolment)
	for what, pid := range map[string]int{"cordon up": cmd.Process.Pid, "cordon daemon": d.Process.Pid(), "the coordinator": s.coordinator.Process.Pid()} {
		for _, file := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
			if err != nil || len(b) == 0 {
				t.Errorf("the %s of %s: %d bytes, %v", file, what, len(b), err)
			}
			said[fmt.Sprintf("the %s of %s for %s", file, what, d.Name)] = string(b)
		}
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("cordon up: %v: %s", err, &out)
	}
	return out.String()
}

// failures does what goes wrong with strings that hold secrets, and gives them.
func (s *scene) failures(t *testing.T, said map[string]string) []secret {
	t.Helper()
	late := s.programs.StartDaemon(s.Host("late"), "--log-level", "debug")
	s.Report(late.Process.Log)
	used, revoked, lost := s.coordinator.Token("tag:lab"), s.coordinator.Token("tag:lab"), s.coordinator.Token("tag:lab")
	for _, token := range ask(t, s.admin.ListTokens, &admin.ListTokensRequest{}).Tokens {
		if token.UsesLeft > 0 && token.User == "" {
			said["revoking"] += s.coordinator.Ctl("token", "revoke", token.Id)
		}
	}
	for what, bad := range map[string]string{
		"a revoked string":                  revoked,
		"a string for nobody's coordinator": strings.Replace(lost, ":8443", ":1", 1),
		"a string with another fingerprint": strings.Replace(used, "#", "#00", 1),
		"a string without its scheme":       strings.TrimPrefix(used, "cordon:"),
		"a string with a blank in it":       used[:len(used)-3] + " " + used[len(used)-3:],
		"a string twice":                    used + used,
	} {
		out, err := late.TryCLI(bad+"\n", "up")
		if err == nil {
			t.Errorf("%s lets a machine in: %s", what, out)
		}
		said[what] = out + fmt.Sprint(err)
	}
	// In the arguments, where people put it against all advice, it is refused, and not repeated.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := s.Host("late").Command(ctx, s.programs.Path("cordon"), "--socket", late.Socket(), "up", used).CombinedOutput()
	if err == nil {
		t.Error("a string in the arguments lets a machine in")
	}
	said["a string in the arguments"] = string(out)
	said["late's log"] = late.Process.Log()
	return []secret{secretOf(t, "a revoked token", revoked), secretOf(t, "a lost token", lost), secretOf(t, "a misspelt token", used)}
}

// everyAnswer asks everything that answers.
func (s *scene) everyAnswer(t *testing.T, said map[string]string) {
	t.Helper()
	for _, line := range []string{"status", "token list", "user list", "session list", "node list", "node show ward", "route list", "policy get", "audit list --limit 1000", "audit export", "audit verify"} {
		said["cordonctl "+line] = s.coordinator.Ctl(strings.Fields(line)...)
		if line != "audit export" && line != "policy get" {
			said["cordonctl --json "+line] = s.coordinator.Ctl(append([]string{"--json"}, strings.Fields(line)...)...)
		}
	}
	if !strings.Contains(said["cordonctl audit export"], "token.create") {
		t.Errorf("the audit export lacks what was done:\n%s", said["cordonctl audit export"])
	}
	for _, d := range s.nodes {
		for _, line := range []string{"status", "status --json"} {
			out, err := d.TryCLI("", strings.Fields(line)...)
			if err != nil {
				t.Error(err)
			}
			said["cordon "+line+" on "+d.Name] = out
		}
	}
	metrics, err := s.Host("hub").HTTPClient().Get("http://" + s.coordinator.Metrics.String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close()
	b, err := io.ReadAll(metrics.Body)
	if err != nil {
		t.Error(err)
	}
	said["metrics"] = string(b)
	backup := filepath.Join(s.coordinator.State, "sealed") // found with the other files
	s.Host("hub").MustRun(s.programs.Path("cordon-coordinator"), "backup", "--state", s.coordinator.State, backup)
}

// The hunt finds a secret in whatever a program may have made of it.
func TestTheHuntFindsASecretInEveryDress(t *testing.T) {
	b := []byte("0123456789abcdefghijklmnopqrstuv")
	needles := written(b)
	found := func(said string) bool {
		return slices.ContainsFunc(needles, func(n []byte) bool { return strings.Contains(said, string(n)) })
	}
	for lead := range 6 {
		longer := append(append(make([]byte, lead), b...), "and what follows"...)
		for name, said := range map[string]string{
			"base64": base64.StdEncoding.EncodeToString(longer), "base64 for URLs": base64.RawURLEncoding.EncodeToString(longer),
			"hexadecimal": hex.EncodeToString(longer), "%X": fmt.Sprintf("%X", longer), "%v": fmt.Sprint(longer), "as it is": string(longer),
		} {
			if !found(said) {
				t.Errorf("in %s behind %d bytes it is overlooked", name, lead)
			}
		}
	}
	if found(strings.Repeat("something else ", 100)) {
		t.Error("it is found where it is not")
	}
}
