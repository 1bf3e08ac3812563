package main

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

func loginCommands() []*cli.Command {
	return []*cli.Command{
		{Name: "login", Usage: "sign in to operate with the roles that are yours, for an hour at most, less if you rest", Action: login, Flags: []cli.Flag{
			&cli.StringFlag{Name: "coordinator", Usage: "where it is, and by what it is known, as `role grant` prints it: `URL#FINGERPRINT`", Required: true, EnvVars: []string{"CORDON_COORDINATOR"}},
		}},
		{Name: "logout", Usage: "end the session, or whatever token you operate with", Action: with(logout)},
		{Name: "whoami", Usage: "as whom you operate, and what you may", Action: with(whoAmI)},
	}
}

// sessionFile is where a session is kept if no --credential-file says otherwise.
func sessionFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("no place to keep the session: %w; give --credential-file", err)
	}
	return filepath.Join(dir, "cordon", "admin-session"), nil
}

func login(c *cli.Context) error {
	at, err := admin.ParseAddress(c.String("coordinator"))
	if err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	path := c.String("credential-file")
	if path == "" {
		if path, err = sessionFile(); err != nil {
			return err
		}
	}
	credential := admin.Credential{URL: at.URL, Fingerprint: at.Fingerprint, Secret: strings.ToLower(rand.Text())}
	api := admin.NewTLSClient(credential) // which is nobody's yet
	defer api.Close()
	challenge := sha256.Sum256([]byte(credential.Secret))
	begun, err := api.BeginLogin(c.Context, connect.NewRequest(&admin.BeginLoginRequest{Challenge: challenge[:]}))
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "Open this address in a browser, before %s:\n\n  %s\n\nGo on there only if the page shows the code %s. At the end it shows a last code.\n",
		moment(begun.Msg.Until), begun.Msg.Url, begun.Msg.Code)
	done, err := finish(c, api, &admin.FinishLoginRequest{Login: begun.Msg.Login, Secret: credential.Secret}, bufio.NewReader(os.Stdin))
	if err != nil {
		return err
	}
	if err := keepSecret(path, credential.Reveal()+"\n"); err != nil {
		return fmt.Errorf("keeping the session: %w", err)
	}
	if usage.WantsJSON(c) {
		return printJSON(done)
	}
	fmt.Printf("%s operates with the roles %s until %s, or until you rest for a while; `cordonctl logout` ends it\n", done.Token.Holder, strings.Join(done.Roles, ", "), moment(done.Token.Expires))
	return nil
}

// finish asks for the last code until it is right, or the sign-in is over.
func finish(c *cli.Context, api *admin.Client, r *admin.FinishLoginRequest, answers *bufio.Reader) (*admin.FinishLoginResponse, error) {
	for {
		fmt.Fprint(os.Stderr, "Last code: ")
		line, err := answers.ReadString('\n')
		if line = strings.TrimSpace(line); line == "" && err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("no code was typed: begin again")
			}
			return nil, err
		}
		r.Code = line
		resp, err := api.FinishLogin(c.Context, connect.NewRequest(r))
		switch code := connect.CodeOf(err); {
		case err == nil:
			return resp.Msg, nil
		case code == connect.CodeInvalidArgument || code == connect.CodeFailedPrecondition:
			fmt.Fprintln(os.Stderr, plain(err))
		default:
			return nil, err
		}
	}
}

// keepSecret writes a file that its owner alone may read.
func keepSecret(path, text string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	fresh, err := os.CreateTemp(dir, ".admin-session-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(fresh.Name()) // in vain once it has its name
	_, err = fresh.WriteString(text)
	if err = errors.Join(err, fresh.Close()); err != nil {
		return err
	}
	return os.Rename(fresh.Name(), path)
}

func logout(c *cli.Context, api *admin.Client) error {
	resp, err := api.EndLogin(c.Context, connect.NewRequest(new(admin.EndLoginRequest)))
	if err != nil {
		return err
	}
	if c.String("credential-file") == "" {
		if path, err := sessionFile(); err == nil {
			_ = os.Remove(path) // what is left of it is worth nothing
		}
	}
	if usage.WantsJSON(c) {
		return printJSON(resp.Msg)
	}
	fmt.Println("signed out")
	return nil
}

func whoAmI(c *cli.Context, api *admin.Client) error {
	resp, err := api.WhoAmI(c.Context, connect.NewRequest(new(admin.WhoAmIRequest)))
	if err != nil {
		return err
	}
	m := resp.Msg
	if usage.WantsJSON(c) {
		return printJSON(m)
	}
	fmt.Printf("%s, with the roles %s\nmay %s\n", m.Actor, orDash(strings.Join(m.Roles, ", ")), orDash(strings.Join(m.Scopes, ", ")))
	if m.Until != 0 {
		fmt.Printf("until %s\n", moment(m.Until))
	}
	return nil
}
