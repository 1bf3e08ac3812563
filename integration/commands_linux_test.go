//go:build linux

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cordonmesh/cordon/integration/lab"
)

// TestCommands runs the scripts in testdata/script: what a user in a hurry, or
// an admin at three in the morning, types and reads. They need no root and no
// network but loopback. Beside testscript's own commands they have:
//
//	mesh               make a mesh in ./coordinator, and serve it
//	serve [DIR]        serve a coordinator's state directory
//	daemon NAME ARG... run a rootless node's daemon with state and socket of that name
//	stop NAME          stop what serve (coordinator) or daemon (NAME) started
//	join NAME FLAG...  daemon NAME, and up with a new token made with the flags
//	until COMMAND...   repeat until it succeeds
//	exits N COMMAND... it ends with this exit status
//	json [KEY VALUE]   the last stdout is JSON (lines of it, too), and has the value
//	keep VAR [KEY]     put the last stdout, or a string in its JSON, into a variable
//	stdin-of VAR       the next command reads the variable
//	token-id OWNER     put the id of OWNER's token into $ID
//	saw NAME TEXT      wait until the status of node NAME has TEXT in it
func TestCommands(t *testing.T) {
	programs := lab.Build(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(programs.Path("cordon"))+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("CORDON_ADMIN_SOCKET", filepath.Join(e.WorkDir, "coordinator", "admin.sock"))
			e.Setenv("URL", "https://"+freeAddress())
			e.Values["background"] = &background{dir: e.WorkDir, env: e, running: map[string]*exec.Cmd{}}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mesh": makeMesh, "serve": serve, "daemon": runDaemon, "stop": stop, "join": join, "until": until, "exits": exits, "json": isJSON, "keep": keep,
			"stdin-of": stdinOf, "token-id": tokenID, "saw": saw,
		},
		RequireUniqueNames: true,
	})
}

func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:1"
	}
	defer l.Close()
	return l.Addr().String()
}

// background is what a script has running.
type background struct {
	dir     string
	env     *testscript.Env
	running map[string]*exec.Cmd
}

func of(ts *testscript.TestScript) *background { return ts.Value("background").(*background) }

func (b *background) start(ts *testscript.TestScript, name, program string, args ...string) {
	log, err := os.Create(filepath.Join(b.dir, name+".log"))
	ts.Check(err)
	defer log.Close()
	path, err := exec.LookPath(filepath.Join(strings.Split(ts.Getenv("PATH"), string(os.PathListSeparator))[0], program))
	ts.Check(err)
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = b.dir, log, log
	cmd.Env = append(os.Environ(), "CORDON_ADMIN_SOCKET="+ts.Getenv("CORDON_ADMIN_SOCKET"))
	ts.Check(cmd.Start())
	b.running[name] = cmd
	ts.Defer(func() { b.end(name) })
}

func (b *background) end(name string) {
	cmd := b.running[name]
	if cmd == nil {
		return
	}
	delete(b.running, name)
	cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer late.Stop()
	cmd.Wait()
}

// repeat runs a program until it succeeds.
func repeat(ts *testscript.TestScript, program string, args ...string) {
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := ts.Exec(program, args...)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			logs, _ := filepath.Glob(filepath.Join(of(ts).dir, "*.log"))
			for _, path := range logs {
				text, _ := os.ReadFile(path)
				ts.Logf("%s:\n%s", filepath.Base(path), text)
			}
			ts.Fatalf("%s %s: %v", program, strings.Join(args, " "), err)
		}
	}
}

func makeMesh(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("cordon-coordinator", "init", "--json", "--state", "coordinator", "--url", ts.Getenv("URL")))
	var made struct{ Recovery string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &made))
	ts.Check(os.WriteFile(ts.MkAbs("recovery"), []byte(made.Recovery+"\n"), 0o600))
	serve(ts, false, nil)
}

func serve(ts *testscript.TestScript, _ bool, args []string) {
	dir := "coordinator"
	if len(args) > 0 {
		dir = args[0]
	}
	ts.Setenv("CORDON_ADMIN_SOCKET", ts.MkAbs(filepath.Join(dir, "admin.sock")))
	of(ts).start(ts, "coordinator", "cordon-coordinator", "serve", "--state", dir, "--listen", strings.TrimPrefix(ts.Getenv("URL"), "https://"))
	repeat(ts, "cordonctl", "status")
}

func runDaemon(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	all := append([]string{"--socket", name + ".sock", "daemon", "--userspace", "--state", name}, args[1:]...)
	of(ts).start(ts, name, "cordon", all...)
	repeat(ts, "cordon", "--socket", name+".sock", "status")
}

func stop(ts *testscript.TestScript, _ bool, args []string) { of(ts).end(args[0]) }

func join(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	ts.Check(ts.Exec("cordonctl", append([]string{"token", "create"}, args[1:]...)...))
	enrolment := ts.ReadFile("stdout")
	runDaemon(ts, false, []string{name})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(strings.Split(ts.Getenv("PATH"), string(os.PathListSeparator))[0], "cordon"), "--socket", ts.MkAbs(name+".sock"), "up", "--name", name)
	cmd.Stdin = strings.NewReader(enrolment)
	if out, err := cmd.CombinedOutput(); err != nil {
		ts.Fatalf("up: %v: %s", err, out)
	}
}

func until(ts *testscript.TestScript, _ bool, args []string) { repeat(ts, args[0], args[1:]...) }

func exits(ts *testscript.TestScript, _ bool, args []string) {
	got := 0
	var ended *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &ended) {
		got = ended.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}

func isJSON(ts *testscript.TestScript, neg bool, args []string) {
	text := []byte(ts.ReadFile("stdout"))
	var last map[string]any
	for d := json.NewDecoder(bytes.NewReader(text)); d.More(); {
		last = nil
		if err := d.Decode(&last); err != nil {
			ts.Fatalf("stdout is no JSON: %v: %s", err, text)
		}
	}
	if last == nil {
		ts.Fatalf("stdout holds no JSON object: %s", text)
	}
	if len(args) == 2 {
		if got := fmt.Sprint(last[args[0]]); (got == args[1]) == neg {
			ts.Fatalf("%s is %q in %s", args[0], got, text)
		}
	}
}

func keep(ts *testscript.TestScript, _ bool, args []string) {
	text := strings.TrimSpace(ts.ReadFile("stdout"))
	if len(args) == 2 {
		var object map[string]any
		ts.Check(json.Unmarshal([]byte(text), &object))
		text = fmt.Sprint(object[args[1]])
	}
	ts.Setenv(args[0], text)
}

func stdinOf(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs("stdin-of"), []byte(ts.Getenv(args[0])+"\n"), 0o600))
	ts.Check(ts.Exec("true"))
}

func tokenID(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("cordonctl", "token", "list"))
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if strings.Contains(line, args[0]) {
			ts.Setenv("ID", strings.Fields(line)[0])
			return
		}
	}
	ts.Fatalf("no token of %s", args[0])
}

func saw(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		ts.Check(ts.Exec("cordon", "--socket", args[0]+".sock", "status"))
		text := ts.ReadFile("stdout")
		if strings.Contains(text, args[1]) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("the status of %s lacks %q:\n%s", args[0], args[1], text)
		}
	}
}
