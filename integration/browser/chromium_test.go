package browser

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// person is somebody at a browser: they have a keyboard, and no mouse.
type person struct {
	t   *testing.T
	ctx context.Context
	led string // where the pages may lead to besides; "": nowhere

	mu       sync.Mutex
	asked    []string // addresses that the browser asked for
	problems []string // that the browser logged
}

// sit opens a Chromium that trusts the clinic's certificate, with an authenticator that
// verifies its user.
func sit(c *clinic) *person {
	c.t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.NoSandbox, chromedp.WindowSize(640, 900),
		chromedp.Flag("ignore-certificate-errors-spki-list", c.spki), chromedp.UserDataDir(c.t.TempDir()),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true))
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	c.t.Cleanup(cancel)
	ctx, quit := chromedp.NewExecAllocator(ctx, options...)
	c.t.Cleanup(quit)
	ctx, leave := chromedp.NewContext(ctx)
	c.t.Cleanup(leave)
	p := &person{t: c.t, ctx: ctx}
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		c.t.Fatalf("no Chromium starts (make deps brings it): %v", err)
	}
	p.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err1 := cdp.Call(ctx, t, network.Enable, network.EnableParams{})
		_, err2 := cdp.Call(ctx, t, cdplog.Enable, cdp.Empty{})
		_, err3 := cdp.Call(ctx, t, webauthn.Enable, webauthn.EnableParams{})
		_, err4 := cdp.Call(ctx, t, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true,
			HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true}})
		_, err5 := cdp.Call(ctx, t, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return chromedp.Void{}, errors.Join(err1, err2, err3, err4, err5)
	})
	return p
}

func (p *person) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.asked = append(p.asked, e.Request.URL)
	case *cdplog.EventEntryAdded:
		p.problems = append(p.problems, string(e.Entry.Source)+": "+e.Entry.Text)
	case *runtime.EventConsoleAPICalled:
		p.problems = append(p.problems, "console: "+string(e.Type))
	case *runtime.EventExceptionThrown:
		p.problems = append(p.problems, "exception: "+e.ExceptionDetails.Text)
	}
}

func (p *person) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatalf("%v\nthe page is:\n%s\nthe browser said %q", err, p.text(), p.said())
	}
}

// ask evaluates an expression on the page.
func ask[T any](p *person, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%v\nthe browser said %q", err, p.said())
	}
	return v
}

func (p *person) text() string {
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.body ? document.body.innerText : ""`))
	if err != nil {
		return err.Error()
	}
	return text
}

func (p *person) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.problems)
}

// open goes to an address, and looks at what is there.
func (p *person) open(address, heading string) {
	p.t.Helper()
	p.do(chromedp.Navigate(address))
	p.sees(heading)
}

// sees waits for a page with a heading, which must be fit for whoever can't see it.
func (p *person) sees(heading string) {
	p.t.Helper()
	ready := `!window.left && document.readyState === "complete" && document.querySelector("h1") !== null && document.querySelector("h1").innerText === ` + quoted(heading)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		// While one page goes and the next comes there is nothing to ask.
		if there, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](ready)); err == nil && there {
			break
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("no page with %q came, but\n%s\nthe browser said %q", heading, p.text(), p.said())
		}
	}
	for _, w := range ask[[]string](p, fit) {
		p.t.Errorf("the page %q: %s", heading, w)
	}
}

// finds waits for an element of somebody else's page.
func (p *person) finds(selector string) {
	p.t.Helper()
	there := `!window.left && document.readyState === "complete" && document.querySelector(` + quoted(selector) + `) !== null`
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if found, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](there)); err == nil && found {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("no page with %s came, but\n%s\nthe browser said %q", selector, p.text(), p.said())
		}
	}
}

// fit lists what a reader of screens would stumble over.
const fit = `(() => {
  const wrong = [];
  if (!document.documentElement.lang) wrong.push("says no language");
  if (!document.title.includes("Cordon")) wrong.push("has no title of its own");
  if (document.querySelectorAll("h1").length !== 1) wrong.push("has not one main heading");
  if (!document.querySelector("main")) wrong.push("has no main part");
  for (const i of document.querySelectorAll("input:not([type=hidden])"))
    if (!i.labels.length) wrong.push("has an unnamed field " + i.name);
  for (const s of document.querySelectorAll("svg"))
    if (s.getAttribute("role") !== "img" || !s.getAttribute("aria-label")) wrong.push("has an unnamed picture");
  for (const b of document.querySelectorAll("button, a"))
    if (!b.innerText.trim()) wrong.push("has an unnamed button");
  if (document.documentElement.scrollWidth > innerWidth) wrong.push("is wider than its window");
  return wrong;
})()`

func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// goTo presses Tab until the element of a selector has the keyboard, which must be seen.
func (p *person) goTo(selector string) {
	p.t.Helper()
	for range 40 {
		if !ask[bool](p, `document.activeElement !== null && document.activeElement.matches(`+quoted(selector)+`)`) {
			p.do(chromedp.KeyEvent(kb.Tab))
			continue
		}
		if !ask[bool](p, `getComputedStyle(document.activeElement).outlineStyle !== "none"`) {
			p.t.Errorf("who uses the keyboard does not see that they are at %s", selector)
		}
		return
	}
	p.t.Fatalf("the keyboard does not lead to %s on\n%s", selector, p.text())
}

// press presses Enter at a button or link, which leads to another page: what is seen
// next is not this one.
func (p *person) press(selector string) {
	p.t.Helper()
	p.goTo(selector)
	ask[bool](p, `window.left = true`)
	p.do(chromedp.KeyEvent(kb.Enter))
}

func (p *person) write(selector, text string) {
	p.t.Helper()
	p.goTo(selector)
	p.do(chromedp.KeyEvent(text))
}

// picture keeps a picture of the page, if pictures are wished.
func (p *person) picture(name string) {
	p.t.Helper()
	dir := os.Getenv("CORDON_PICTURES")
	if dir == "" {
		return
	}
	height, beyond := ask[float64](p, `document.querySelector("main").getBoundingClientRect().bottom + scrollY + 8`), true
	shot, err := chromedp.Run(p.ctx, func(ctx context.Context, t *chromedp.Target) (page.CaptureScreenshotResult, error) {
		return cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &beyond, Clip: &page.Viewport{Width: 640, Height: height, Scale: 1}})
	})
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), shot.Data, 0o644); err != nil {
		p.t.Error(err)
	}
}

// satisfied looks back: nothing came from elsewhere, and the browser complained of nothing
// but what the test provoked.
// Then it sees that it would have heard of either.
func (p *person) satisfied(base string, but ...string) {
	p.t.Helper()
	p.mu.Lock()
	asked, problems := slices.Clone(p.asked), slices.Clone(p.problems)
	p.mu.Unlock()
	if len(asked) == 0 {
		p.t.Error("the browser asked for nothing")
	}
	for _, address := range asked {
		led := p.led != "" && strings.HasPrefix(address, p.led)
		if !led && !strings.HasPrefix(address, base+"/login/") && address != base+"/favicon.ico" {
			p.t.Errorf("the browser asked for %s", address)
		}
	}
	for _, said := range problems {
		if !slices.ContainsFunc(append(but, "favicon.ico"), func(b string) bool { return strings.Contains(said, b) }) {
			p.t.Errorf("the browser complains: %s", said)
		}
	}
	ask[bool](p, `(() => { const s = document.createElement("img"); s.src = "https://elsewhere.example/x.png"; document.body.append(s); return true; })()`)
	for deadline := time.Now().Add(patience); p.complaints("Content Security Policy") == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatal("a picture from elsewhere is no violation that is heard of")
		}
	}
}

func (p *person) complaints(of string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, said := range p.problems {
		if strings.Contains(said, of) {
			n++
		}
	}
	return n
}
