package main

import (
	"time"

	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/coordinator"
)

// signInFlags say how people sign in. They may come from the
// environment too; the client's secret comes from a file alone.
func signInFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "oidc-issuer", Usage: "`URL` of the OpenID Connect provider through which people sign in (default none)", EnvVars: []string{"CORDON_OIDC_ISSUER"}},
		&cli.StringFlag{Name: "oidc-client-id", Usage: "`ID` that the provider gave this coordinator", EnvVars: []string{"CORDON_OIDC_CLIENT_ID"}},
		&cli.StringFlag{Name: "oidc-client-secret-file", Usage: "`FILE` with the secret that goes with it", EnvVars: []string{"CORDON_OIDC_CLIENT_SECRET_FILE"}},
		&cli.StringSliceFlag{Name: "oidc-scope", Usage: "`SCOPE` to ask for besides openid; may be repeated (default profile, email)", EnvVars: []string{"CORDON_OIDC_SCOPES"}},
		&cli.StringFlag{Name: "oidc-login-claim", Usage: "`CLAIM` that names people as the policy does (default email, if verified)", EnvVars: []string{"CORDON_OIDC_LOGIN_CLAIM"}},
		&cli.StringFlag{Name: "oidc-groups-claim", Usage: "`CLAIM` that lists a person's groups, idp:NAME in the policy (default groups)", EnvVars: []string{"CORDON_OIDC_GROUPS_CLAIM"}},
		&cli.DurationFlag{Name: "oidc-check", Usage: "`TIME` between two questions to the provider whether it still stands by somebody who is signed in, where it gives refresh tokens (--oidc-scope offline_access); 0: never", Value: 5 * time.Minute, EnvVars: []string{"CORDON_OIDC_CHECK"}},
		&cli.BoolFlag{Name: "scim", Usage: "let a directory provision people and groups by SCIM 2.0 on the TLS port, at /scim/v2, with an admin token of the scope scim", EnvVars: []string{"CORDON_SCIM"}},
		&cli.StringFlag{Name: "scim-match", Usage: "whose the directory's record is, by `RULE`: subject (its externalId is the subject of whoever signs in), claim:NAME (likewise, that claim of theirs: claim:oid for Entra ID) or login (its userName is their login)", Value: "subject", EnvVars: []string{"CORDON_SCIM_MATCH"}},
		&cli.StringFlag{Name: "join-by-login", Usage: "what becomes of a machine whose person joins it by signing in, `HOW`: off (that joins nothing), approve (it waits for `cordonctl node approve`), open (it is in at once) (default approve, where people can sign in)", EnvVars: []string{"CORDON_JOIN_BY_LOGIN"}},
		&cli.DurationFlag{Name: "device-life", Usage: "`TIME` for which a person's proof keeps their machine in the mesh; 0: for good (default 4320h, which is 180 days, where people can sign in)", EnvVars: []string{"CORDON_DEVICE_LIFE"}},
		&cli.DurationFlag{Name: "admin-idle", Usage: "`TIME` without a call after which an admin session (cordonctl login) ends before its hour; 0: never", Value: 10 * time.Minute, EnvVars: []string{"CORDON_ADMIN_IDLE"}},
		&cli.BoolFlag{Name: "local-people", Usage: "let people sign in whom this coordinator knows by itself, by password and code or by a passkey; cordonctl user add adds them", EnvVars: []string{"CORDON_LOCAL_PEOPLE"}},
		&cli.IntFlag{Name: "password-memory", Usage: "`MIB` of memory that checking one password takes, and guessing one; two are checked at a time", Value: 64, EnvVars: []string{"CORDON_PASSWORD_MEMORY"}},
		&cli.DurationFlag{Name: "session-life", Usage: "`TIME` after which people sign in anew", Value: 12 * time.Hour, EnvVars: []string{"CORDON_SESSION_LIFE"}},
	}
}

func directory(c *cli.Context) coordinator.SCIM {
	return coordinator.SCIM{On: c.Bool("scim"), Match: c.String("scim-match")}
}

func signIn(c *cli.Context) coordinator.SignIn {
	return coordinator.SignIn{
		Issuer: c.String("oidc-issuer"), ClientID: c.String("oidc-client-id"), SecretFile: c.String("oidc-client-secret-file"),
		Scopes: c.StringSlice("oidc-scope"), LoginClaim: c.String("oidc-login-claim"), GroupsClaim: c.String("oidc-groups-claim"),
		Local: c.Bool("local-people"), PasswordMemory: c.Int("password-memory"),
		Life: c.Duration("session-life"), Check: neverIfZero(c.Duration("oidc-check")), AdminIdle: neverIfZero(c.Duration("admin-idle")), Join: c.String("join-by-login"), DeviceLife: life(c),
	}
}

// neverIfZero makes of a flag's 0, which is never, what the coordinator takes for that.
func neverIfZero(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// life gives how long machines stay: what was not said is for the coordinator to
// say, and 0 was said to mean for good.
func life(c *cli.Context) time.Duration {
	if c.IsSet("device-life") && c.Duration("device-life") == 0 {
		return -1
	}
	return c.Duration("device-life")
}
