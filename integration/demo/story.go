package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

//go:embed policy.hujson
var policy string

// imaging is the one grant more that the admin adds: nurses may look at images.
const imaging = `{"id": "images", "src": ["group:nurses"], "dst": ["tag:pacs"], "ip": ["tcp:443"]},`

const nurse = "nina@hospital.example"

// story is the demo. It fails if any step went otherwise than expected.
func story(ctx context.Context, h *hospital) error {
	t := new(teller)
	begin := time.Now()
	t.step("a coordinator starts, and takes the hospital's policy", "the policy's own tests pass, then it is in force", func() (string, error) {
		if err := h.startCoordinator(ctx); err != nil {
			return "", err
		}
		return h.setPolicy(ctx, policy)
	})
	t.step("five machines join, each with a token of its own", "each enrols with one string and gets its map", func() (string, error) { return h.joinAll(ctx) })
	if t.failed {
		return errStep
	}
	permitAndRefuse(ctx, t, h)
	editUnderLoad(ctx, t, h)
	spentToken(ctx, t, h)
	outage(ctx, t, h)
	t.step("the audit is verified, and the matrix of who reaches what is printed", "an unbroken chain", func() (string, error) {
		out, err := h.ctl(ctx, "", "audit", "verify")
		return firstLine(out), err
	})
	if reach, err := h.ctl(ctx, "", "policy", "reach"); err == nil {
		fmt.Printf("\n%s\n", reach)
	} else {
		t.failed = true
	}
	if t.failed {
		return errStep
	}
	fmt.Printf("all %d steps went as expected, in %s\n", t.number, pretty(time.Since(begin)))
	return nil
}

func (h *hospital) setPolicy(ctx context.Context, text string) (string, error) {
	out, err := h.ctl(ctx, text, "policy", "set", "--yes", "-")
	return firstLine(out), err
}

func (h *hospital) joinAll(ctx context.Context) (string, error) {
	owners := []struct{ name, owner string }{
		{"ehr", "tag:ehr-app"}, {"pacs", "tag:pacs"}, {"recorder", "tag:vms"}, {"finance", "tag:finance-app"}, {"nurse-laptop", nurse},
	}
	for _, o := range owners {
		if err := h.join(ctx, o.name, o.owner); err != nil {
			return "", fmt.Errorf("%s: %w", o.name, err)
		}
	}
	return fmt.Sprintf("%d nodes up, the nurse's laptop is %s", len(owners), h.nodes["nurse-laptop"].address), nil
}

// through is an HTTP client that goes out by a machine's SOCKS5 door.
func (h *hospital) through(machine string) *http.Client {
	proxy := &url.URL{Scheme: "socks5h", Host: h.nodes[machine].socks}
	return &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true},
		Timeout:   20 * time.Second,
	}
}

func permitAndRefuse(ctx context.Context, t *teller, h *hospital) {
	t.step("the nurse opens the EHR", "200, by the grant \"ward\"", func() (string, error) {
		return fetch(h.through("nurse-laptop"), "http://ehr:443/")
	})
	t.step("the camera recorder tries the EHR", "refused at once: no rule allows it", func() (string, error) {
		return refused(ctx, h, "recorder", "ehr")
	})
	t.step("the nurse tries the finance server", "refused at once: no rule allows it", func() (string, error) {
		return refused(ctx, h, "nurse-laptop", "finance")
	})
}

// opens fetches a page as soon as the way to it is open: who has just been given it
// learns of it within moments.
func (h *hospital) opens(ctx context.Context, from, url string) (got string, err error) {
	err = until(ctx, func() (err error) {
		got, err = fetch(h.through(from), url)
		return err
	})
	return got, err
}

// refused expects that a connection fails within a second, and asks the node why.
func refused(ctx context.Context, h *hospital, from, to string) (string, error) {
	begin := time.Now()
	got, err := fetch(h.through(from), "http://"+h.nodes[to].address+":443/")
	took := time.Since(begin)
	if err == nil {
		return got, errors.New("it was let in")
	}
	if took > time.Second {
		return "", fmt.Errorf("it failed only after %s: a timeout, not a refusal", pretty(took))
	}
	why, err := h.tool(ctx, "", "cordon", "--socket", h.nodes[from].socket, "explain", h.nodes[to].address+":443")
	if !strings.Contains(why, "no rule") {
		return firstLine(why), errors.Join(errors.New("the node does not say that no rule allows it"), err)
	}
	return fmt.Sprintf("refused after %s: %s", pretty(took), firstLine(why)), nil
}

func editUnderLoad(ctx context.Context, t *teller, h *hospital) {
	t.step("before any edit, the nurse tries the image archive", "refused at once", func() (string, error) {
		return refused(ctx, h, "nurse-laptop", "pacs")
	})
	wider := strings.Replace(policy, "// DEMO", imaging, 1)
	t.step("an admin adds the grant \"images\"; the nurse tries again", "the edit opens the way", func() (string, error) {
		if out, err := h.setPolicy(ctx, wider); err != nil {
			return out, err
		}
		return h.opens(ctx, "nurse-laptop", "http://pacs:443/")
	})
	t.step("a large study is being downloaded when the admin takes the grant away", "the running download stops", func() (string, error) {
		return h.cutDownload(ctx)
	})
}

// cutDownload measures from the policy's acknowledgement to the last byte.
func (h *hospital) cutDownload(ctx context.Context) (string, error) {
	resp, err := h.through("nurse-laptop").Get("http://pacs:443/study")
	if err != nil {
		return "the download did not start", err
	}
	defer resp.Body.Close()
	var bytes, last atomic.Int64
	ended := make(chan error, 1)
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := resp.Body.Read(buf)
			if n > 0 {
				bytes.Add(int64(n))
				last.Store(time.Now().UnixNano())
			}
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	if err := until(ctx, func() error {
		if bytes.Load() < 1<<20 {
			return errors.New("less than 1 MiB arrived")
		}
		return nil
	}); err != nil {
		return "", err
	}
	if out, err := h.setPolicy(ctx, policy); err != nil {
		return out, err
	}
	acknowledged := time.Now()
	select {
	case err := <-ended:
		if errors.Is(err, io.EOF) {
			return "", errors.New("the download ended by itself")
		}
	case <-time.After(5 * time.Second):
		return "", errors.New("the download goes on")
	}
	after := max(0, time.Unix(0, last.Load()).Sub(acknowledged))
	return fmt.Sprintf("cut after %.1f MiB, last byte %s after the edit was acknowledged", float64(bytes.Load())/(1<<20), pretty(after)), nil
}

func spentToken(ctx context.Context, t *teller, h *hospital) {
	t.step("a stranger finds the used enrolment string", "refused: the token is spent", func() (string, error) {
		enrolment, err := h.token(ctx, "tag:pacs")
		if err != nil {
			return "", err
		}
		first, err := h.machine(ctx, "second-pacs")
		if err != nil {
			return "", err
		}
		if err := h.up(ctx, first, enrolment); err != nil {
			return "the rightful machine could not join", err
		}
		stranger, err := h.machine(ctx, "stranger")
		if err != nil {
			return "", err
		}
		err = h.up(ctx, stranger, enrolment)
		if err == nil {
			return "", errors.New("the stranger is in")
		}
		return err.Error(), nil
	})
}

func outage(ctx context.Context, t *teller, h *hospital) {
	t.step("the coordinator is killed; the nurse opens the EHR", "tunnels and filter do not need it", func() (string, error) {
		h.coordinator.end(syscall.SIGKILL)
		if c, err := net.Dial("tcp", h.listen); err == nil {
			c.Close()
			return "", errors.New("something still answers at the coordinator's address")
		}
		return fetch(h.through("nurse-laptop"), "http://ehr:443/")
	})
	t.step("meanwhile the EHR's node restarts", "it comes back from its verified map on disk", func() (string, error) {
		h.nodes["ehr"].daemon.end(syscall.SIGTERM)
		if _, err := h.machine(ctx, "ehr"); err != nil {
			return "", err
		}
		var got string
		err := until(ctx, func() (err error) {
			got, err = fetch(h.through("nurse-laptop"), "http://ehr:443/")
			return err
		})
		return got, err
	})
	t.step("the recorder tries the EHR, still without coordinator", "still refused", func() (string, error) {
		return refused(ctx, h, "recorder", "ehr")
	})
	t.step("the coordinator starts again", "it has lost nothing", func() (string, error) {
		if err := h.startCoordinator(ctx); err != nil {
			return "", err
		}
		out, err := h.ctl(ctx, "", "status")
		return firstLine(out), err
	})
}
