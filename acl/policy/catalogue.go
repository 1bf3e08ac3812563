package policy

import (
	"cmp"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/cordonmesh/cordon/acl"
)

// catalogue gives the services that every policy knows: what hospitals speak, by
// the ports that IANA registered or that makers document. A file's own "services"
// say what a name means there.
func catalogue() map[string]string {
	return map[string]string{
		// Imaging: DICOM PS3.8 section 9.1.2 and its TLS and ISCL profiles.
		"dicom": "tcp:104 tcp:11112 tcp:2762", "dicom-tls": "tcp:2762", "dicom-iscl": "tcp:2761", "dicomweb": "tcp:443",
		// Interfaces between clinical systems: MLLP, and IHE's audit trail over syslog (RFC 5425).
		"hl7": "tcp:2575", "hl7-tls": "tcp:12575", "fhir": "tcp:443", "atna": "tcp:6514", "audit": "tcp:6514", "iris": "tcp:1972",
		// Devices.
		"pump": "tcp:3613", "monitor-export": "udp:24105", "sdc-discovery": "udp:3702",
		// Telephones and nurse call.
		"sip": "tcp:5060-5061 udp:5060", "nurse-call": "tcp:2575 tcp:5060-5061 udp:5060",
		// Buildings.
		"bacnet": "udp:47808", "bacnet-sc": "tcp:443", "modbus": "tcp:502", "modbus-tls": "tcp:802", "snmp": "udp:161", "snmp-trap": "udp:162",
		// Cameras.
		"rtsp": "tcp:554 udp:554", "onvif": "tcp:80 tcp:443 udp:3702",
		// Printing.
		"print": "tcp:9100 tcp:631 tcp:515", "printing": "tcp:9100 tcp:631 tcp:515", "ipp": "tcp:631",
		// Screens from afar.
		"rdp": "tcp:3389 udp:3389", "ica": "tcp:1494 tcp:2598 udp:1494 udp:2598", "pcoip": "tcp:4172 udp:4172", "blast": "tcp:8443 tcp:22443 udp:8443 udp:22443",
		"vdi": "tcp:443 tcp:1494 tcp:2598 udp:1494 udp:2598",
		"ssh": "tcp:22", "admin": "tcp:22 tcp:3389",
		// The web, names and time.
		"http": "tcp:80", "https": "tcp:443", "dns": "tcp:53 udp:53", "ntp": "udp:123", "dhcp": "udp:67-68", "syslog": "udp:514 tcp:514", "syslog-tls": "tcp:6514",
		// A directory of Windows.
		"kerberos": "tcp:88 udp:88 tcp:464 udp:464", "ldap": "tcp:389 udp:389", "ldaps": "tcp:636", "smb": "tcp:445",
		"ad": directoryPorts, "directory": directoryPorts,
	}
}

const directoryPorts = "tcp:53 udp:53 tcp:88 udp:88 udp:123 tcp:135 tcp:389 udp:389 tcp:445 tcp:464 udp:464 tcp:636 tcp:3268-3269 tcp:49152-65535"

// services reads {"NAME": ["tcp:104", "udp:6000-6099"]} over the catalogue, which is
// read when somebody asks for a service: most files name none.
func (r *reader) services(section member) func() map[string]Service {
	own := make(map[string]Service)
	for _, m := range r.named(section, "services") {
		sound := r.sound(m, checkWord(m.key))
		if open := r.serviceEntries(m); sound {
			own[m.key] = Service{Name: m.key, Open: open}
		}
	}
	return sync.OnceValue(func() map[string]Service {
		all := make(map[string]Service)
		for name, text := range catalogue() {
			var open []acl.Service
			for one := range strings.FieldsSeq(text) {
				open, _ = grantService(open, one)
			}
			all[name] = Service{Name: name, Open: acl.MergeServices(open)}
		}
		maps.Copy(all, own)
		return all
	})
}

func (r *reader) serviceEntries(m member) []acl.Service {
	items := r.texts(m.value, "", m.key)
	if len(items) == 0 && (m.value.isEmpty() || m.value.isList()) {
		r.fail(m.at, m.key, complain("opens nothing", `write such as ["tcp:443"]`))
	}
	var all []acl.Service
	for _, it := range items {
		open, bad := grantService(all, it.text)
		switch {
		case strings.HasPrefix(it.text, "service:"):
			bad = complain("a service cannot hold another", "list its ports")
		case bad != nil:
			bad.fix = cmp.Or(serviceInstead(it.text, nil), bad.fix)
		}
		if bad != nil {
			r.failAt(it.at, m.key, it.text, bad)
			continue
		}
		if all = open; len(all) > maxPorts {
			r.fail(m.at, m.key, complain(fmt.Sprintf("more than %d ports", maxPorts), "use ranges, or *"))
			return nil
		}
	}
	return acl.MergeServices(all)
}

// grantServices reads a grant's "ip" list.
func (r *ruleReader) grantServices(items []item) []acl.Service {
	all := r.open.list(len(items))
	for _, it := range items {
		open, bad := r.opened(all, it)
		if bad != nil {
			r.failAt(it.at, "ip", it.text, bad)
			continue
		}
		all = open
	}
	return acl.MergeServices(all)
}

// opened adds to a list what one entry of "ip" opens. What a service stands for counts as
// if it were written out: a thousand ports behind one word, ten thousand times in
// one file, are a bomb.
func (r *ruleReader) opened(all []acl.Service, it item) ([]acl.Service, *complaint) {
	name, ok := strings.CutPrefix(it.text, "service:")
	if !ok {
		open, bad := grantService(all, it.text)
		if bad != nil {
			bad.fix = cmp.Or(serviceInstead(it.text, r.names.services()), bad.fix)
		}
		return open, bad
	}
	service, known := r.names.services()[name]
	if !known {
		return nil, complainWithin("unknown service", "service:", name, r.names.services(), `define it under "services", or write its ports`)
	}
	r.expand(it.at, 1, 1, len(service.Open))
	if r.pairs > maxPairs {
		return all, nil // reported
	}
	return append(all, service.Open...), nil
}
