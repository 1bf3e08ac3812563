package signin

import "net/http"

// problem is why a step is not taken.
type problem uint8

const (
	none    problem = iota
	gone            // there is no such sign-in, or it is over
	taken           // it is bound to another browser
	foreign         // an answer of the provider comes to a browser that did not ask
	forged          // the form's token is missing or wrong
	over            // the step was taken already: the page says where things stand
	often           // the person was led to the provider too many times
	hasty           // too many requests from this address
	crowded         // too many strangers are signing in
	unknown         // no such page
	method
	long
	garbled  // the request can't be read
	embedded // no page of a person's own, but part of another site's
	absent   // the node has left the mesh
	spent    // the link of an operator was used, is too old, or never was
	early    // a browser fetches ahead of its person
)

// notice is a page that says one thing.
type notice struct {
	status      int
	Title, Text string
}

const again = " To sign in, begin again on the machine."

func (p problem) notice() notice {
	switch p {
	case gone:
		return notice{http.StatusNotFound, "This sign-in has ended", "It is complete, has taken longer than ten minutes, or never was." + again}
	case taken:
		return notice{http.StatusForbidden, "In use in another browser", "Another browser opened this sign-in first, and only that one can go on with it. " +
			"If that was not you, somebody else has seen its address: tell those who care for the network. A browser that keeps no cookies can't sign in." + again}
	case foreign:
		return notice{http.StatusForbidden, "Not begun in this browser", "An answer came back for a sign-in that this browser did not begin, or its cookies are blocked. Nothing was signed in." + again}
	case forged:
		return notice{http.StatusForbidden, "This page was out of date", "Nothing was done. Open the sign-in's address again and continue from there."}
	case often:
		return notice{http.StatusTooManyRequests, "Too many attempts", "This sign-in was led to the provider too many times." + again}
	case hasty:
		return notice{http.StatusTooManyRequests, "Too many requests", "Too many pages were asked for from your address. Wait a minute, then reload this page."}
	case crowded:
		return notice{http.StatusTooManyRequests, "Too many people are signing in", "Nothing is lost: wait a minute, then reload this page. " +
			"In a browser in which you have signed in here before you need not wait."}
	case method:
		return notice{http.StatusMethodNotAllowed, "Not possible here", "This page can't be asked for in that way."}
	case long:
		return notice{http.StatusRequestURITooLong, "This address is too long", "No sign-in has an address like that." + again}
	case garbled:
		return notice{http.StatusBadRequest, "Not understood", "What your browser sent can't be read." + again}
	case embedded:
		return notice{http.StatusForbidden, "Open this page by itself", "Another site tried to load this page as a part of its own. Nothing was done."}
	case absent:
		return notice{http.StatusNotFound, "This machine has left the network", "The machine that asked for this sign-in is not in the network any more."}
	case spent:
		return notice{http.StatusNotFound, "This link works no more", "It was used already, is too old, or never was. Ask your administrator for a new one. If you never used it, say so: somebody else may have."}
	case early:
		return notice{http.StatusServiceUnavailable, "Not ahead of time", "This page is only for a person who opens it. Reload it."}
	}
	return notice{http.StatusNotFound, "No such page", "There is nothing at this address." + again}
}
