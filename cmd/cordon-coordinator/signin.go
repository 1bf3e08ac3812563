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
		&cli.BoolFlag{Name: "local-people", Usage: "let people sign in whom this coordinator knows by itself, by password and code or by a passkey; cordonctl user add adds them", EnvVars: []string{"CORDON_LOCAL_PEOPLE"}},
		&cli.IntFlag{Name: "password-memory", Usage: "`MIB` of memory that checking one password takes, and guessing one; two are checked at a time", Value: 64, EnvVars: []string{"CORDON_PASSWORD_MEMORY"}},
		&cli.DurationFlag{Name: "session-life", Usage: "`TIME` after which people sign in anew", Value: 12 * time.Hour, EnvVars: []string{"CORDON_SESSION_LIFE"}},
	}
}

func signIn(c *cli.Context) coordinator.SignIn {
	return coordinator.SignIn{
		Issuer: c.String("oidc-issuer"), ClientID: c.String("oidc-client-id"), SecretFile: c.String("oidc-client-secret-file"),
		Scopes: c.StringSlice("oidc-scope"), LoginClaim: c.String("oidc-login-claim"), GroupsClaim: c.String("oidc-groups-claim"),
		Local: c.Bool("local-people"), PasswordMemory: c.Int("password-memory"), Life: c.Duration("session-life"),
	}
}
