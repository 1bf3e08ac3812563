package main

import (
	"github.com/urfave/cli/v2"

	"github.com/cordonmesh/cordon/coordinator"
)

// warningFlags say who is told, besides the log, what is about to lapse.
func warningFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "warn-webhook", Usage: "`URL` to which warnings of what is about to lapse are posted as JSON (default none)", EnvVars: []string{"CORDON_WARN_WEBHOOK"}},
		&cli.StringFlag{Name: "warn-webhook-secret-file", Usage: "`FILE` with the secret that signs them", EnvVars: []string{"CORDON_WARN_WEBHOOK_SECRET_FILE"}},
		&cli.StringFlag{Name: "warn-syslog", Usage: "`URL` of a syslog that takes such warnings (RFC 5424): udp://HOST:514, tcp://HOST:601, tls://HOST:6514 or unix:///dev/log (default none)", EnvVars: []string{"CORDON_WARN_SYSLOG"}},
	}
}

func warnings(c *cli.Context) coordinator.Warnings {
	return coordinator.Warnings{Webhook: c.String("warn-webhook"), SecretFile: c.String("warn-webhook-secret-file"), Syslog: c.String("warn-syslog")}
}
