package coordinator

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics gives the registry of what is measured: what the mesh is at the
// moment of the scrape, and the process.
func (a *assembly) metrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newMeshCollector(a))
	if a.people != nil {
		r.MustRegister(proofCounters(a.people)...)
	}
	if a.relay != nil {
		if err := a.relay.Register(r); err != nil {
			a.Log.Error("the relay's metrics are not served", "error", err)
		}
	}
	return r
}

// meshCollector reads registry and hub when it is asked.
type meshCollector struct {
	a                                                          *assembly
	nodes, connected, current, revision, epoch, tokens, warned *prometheus.Desc
	asked, watched, kept, unanswered, late, held, refused      *prometheus.Desc
}

func newMeshCollector(a *assembly) *meshCollector {
	d := func(name, help string) *prometheus.Desc { return prometheus.NewDesc("cordon_"+name, help, nil, nil) }
	return &meshCollector{
		a:          a,
		nodes:      d("nodes", "Nodes of the mesh."),
		connected:  d("nodes_connected", "Nodes whose stream stands."),
		current:    d("nodes_current", "Connected nodes that enforce the map that they should."),
		revision:   d("revision", "Revision of the mesh."),
		epoch:      d("revocation_epoch", "Revocation epoch; raised by every removed node."),
		tokens:     d("tokens_live", "Tokens that are neither revoked nor expired."),
		asked:      prometheus.NewDesc("cordon_provider_answers_total", "Answers of the provider on whether it stands by those who are signed in.", []string{"answer"}, nil),
		watched:    d("provider_sessions_watched", "Sessions of which the provider is asked whether it stands by them."),
		kept:       d("provider_sessions_kept", "Sessions of which the provider will be asked also after a restart."),
		unanswered: d("provider_unanswered", "1 while the provider gives no answer, and nobody is signed out by it."),
		late:       d("provider_late_seconds", "For how long the question to the provider is overdue that waits longest."),
		held:       d("provider_refresh_tokens_held", "Refresh tokens by which the provider can be asked."),
		refused:    d("provider_refresh_tokens_refused_total", "Refresh tokens for which there was no room, and whose people are not asked for."),
		warned:     d("nodes_warned", "Nodes that an operator should look at, such as one whose key two machines use."),
	}
}

// Describe is prometheus.Collector's.
func (m *meshCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.nodes, m.connected, m.current, m.revision, m.epoch, m.tokens, m.warned, m.asked, m.watched, m.kept, m.unanswered, m.late, m.held, m.refused} {
		out <- d
	}
}

// Collect is prometheus.Collector's.
func (m *meshCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	state := m.a.registry.Snapshot()
	var connected, current, warned, live int
	present, err := m.a.hub.Present(ctx)
	if err != nil {
		return // stopping: no numbers are better than wrong ones
	}
	for _, p := range present {
		if p.Connected {
			connected++
		}
		if p.Connected && p.Current {
			current++
		}
		if len(p.Warnings) > 0 {
			warned++
		}
	}
	for _, t := range state.Tokens() {
		if !t.Over(m.a.Now()) {
			live++
		}
	}
	m.provider(out)
	gauge := func(d *prometheus.Desc, v float64) { out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	gauge(m.nodes, float64(state.NodeCount()))
	gauge(m.connected, float64(connected))
	gauge(m.current, float64(current))
	gauge(m.revision, float64(state.Revision))
	gauge(m.epoch, float64(state.Epoch))
	gauge(m.tokens, float64(live))
	gauge(m.warned, float64(warned))
}

// provider tells of what the provider can be asked with, and of the questions.
func (m *meshCollector) provider(out chan<- prometheus.Metric) {
	if m.a.provider != nil {
		kept := m.a.provider.Kept()
		out <- prometheus.MustNewConstMetric(m.held, prometheus.GaugeValue, float64(kept.Held))
		out <- prometheus.MustNewConstMetric(m.refused, prometheus.CounterValue, float64(kept.Refused))
	}
	if m.a.watching == nil {
		return
	}
	s := m.a.watching.Stats()
	for answer, n := range map[string]uint64{"stands": s.Stood, "refused": s.Refused, "none": s.Failed} {
		out <- prometheus.MustNewConstMetric(m.asked, prometheus.CounterValue, float64(n), answer)
	}
	unanswered := 0.0
	if s.Problem != "" {
		unanswered = 1
	}
	out <- prometheus.MustNewConstMetric(m.watched, prometheus.GaugeValue, float64(s.Watched))
	out <- prometheus.MustNewConstMetric(m.kept, prometheus.GaugeValue, float64(m.a.kept()))
	out <- prometheus.MustNewConstMetric(m.late, prometheus.GaugeValue, s.Late.Seconds())
	out <- prometheus.MustNewConstMetric(m.unanswered, prometheus.GaugeValue, unanswered)
}
