package portmap_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// web is how a router plays UPnP, and what it lies.
type web struct {
	url       string       // where its pages are
	location  string       // what it says instead of where its description is
	describe  http.Handler // its description, instead of a true one
	control   http.Handler // its control page, likewise
	at        string       // what its description says of where the control page is
	service   string       // the type of its connection
	permanent bool         // knows no mapping that ends
	hits      []string     // pages that were read
}

// search answers what came to port 1900.
func (r *router) search(b []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mute || !r.igd || !strings.HasPrefix(string(b), "M-SEARCH * HTTP/1.1\r\n") || !strings.Contains(string(b), "InternetGatewayDevice:1\r\n") {
		return nil
	}
	at := r.web.location
	if at == "" {
		at = r.web.url + "/description.xml"
	}
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nEXT:\r\nLOCATION: %s\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n", at)
}

// ServeHTTP serves the description and the control page.
func (r *router) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	r.web.hits = append(r.web.hits, q.Method+" "+q.URL.Path)
	page := http.HandlerFunc(r.serveControl)
	lie := r.web.control
	if q.Method == http.MethodGet {
		page, lie = r.serveDescription, r.web.describe
	}
	r.mu.Unlock()
	if lie != nil {
		lie.ServeHTTP(w, q)
		return
	}
	page(w, q)
}

func (r *router) serveDescription(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, service := r.web.at, r.web.service
	if at == "" {
		at = "/control"
	}
	if service == "" {
		service = "WANIPConnection:1"
	}
	fmt.Fprintf(w, `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><URLBase>http://127.0.0.2:9/</URLBase><device>
		<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><deviceList><device>
		<deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><deviceList><device>
		<deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><serviceList><service>
		<serviceType>urn:schemas-upnp-org:service:%s</serviceType><controlURL>%s</controlURL>
		</service></serviceList></device></deviceList></device></deviceList></device></root>`, service, at)
}

func (r *router) serveControl(w http.ResponseWriter, q *http.Request) {
	text := make([]byte, 4096)
	n, _ := q.Body.Read(text)
	argument := func(name string) string {
		if m := regexp.MustCompile("<" + name + ">([^<]*)</" + name + ">").FindSubmatch(text[:n]); m != nil {
			return string(m[1])
		}
		return ""
	}
	number := func(name string) uint16 {
		v, _ := strconv.ParseUint(argument(name), 10, 16)
		return uint16(v)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	service, action, _ := strings.Cut(strings.Trim(q.Header.Get("SOAPACTION"), `"`), "#")
	fault, inner := 0, ""
	switch action {
	case "GetExternalIPAddress":
		r.say("UPnP address")
		inner = fmt.Sprintf("<NewExternalIPAddress>%v</NewExternalIPAddress>", r.external)
	case "AddPortMapping":
		fault = r.add(argument, number)
	case "DeletePortMapping":
		r.say("UPnP delete %s", argument("NewExternalPort"))
		for k, e := range r.maps {
			if e.external == number("NewExternalPort") {
				delete(r.maps, k)
			}
		}
	default:
		fault = 401
	}
	if fault != 0 {
		w.WriteHeader(http.StatusInternalServerError)
		soap(w, fmt.Sprintf(`<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>%d</errorCode></UPnPError></detail></s:Fault>`, fault))
		return
	}
	soap(w, fmt.Sprintf(`<u:%[1]sResponse xmlns:u="%[2]s">%[3]s</u:%[1]sResponse>`, action, service, inner))
}

// add maps, and gives UPnP's error code or 0. It holds mu.
func (r *router) add(argument func(string) string, number func(string) uint16) int {
	life, port := time.Duration(number("NewLeaseDuration"))*time.Second, number("NewExternalPort")
	internal := netip.AddrPortFrom(netip.MustParseAddr(argument("NewInternalClient")), number("NewInternalPort"))
	r.say("UPnP map %d as %d for %v", internal.Port(), port, life)
	switch {
	case r.result != 0:
		return int(r.result) + 500
	case argument("NewProtocol") != "UDP" || argument("NewRemoteHost") != "" || argument("NewEnabled") != "1":
		return 402
	case slices.Contains(r.taken, port):
		return cmp.Or(r.conflict, 718)
	case r.web.permanent && life != 0:
		return 725
	case life == 0:
		r.maps[internal] = entry{external: port}
		return 0
	}
	r.maps[internal] = entry{external: port, until: time.Now().Add(life)}
	return 0
}

func soap(w http.ResponseWriter, inner string) {
	fmt.Fprintf(w, `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>%s</s:Body></s:Envelope>`, inner)
}
