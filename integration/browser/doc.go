// Package browser sees the sign-in pages as a person does: in Chromium, by the keyboard
// alone, with a passkey that its DevTools play (CDP's WebAuthn domain), at a built
// coordinator on loopback.
//
// CORDON_PICTURES names a directory that the tests fill with pictures of the pages, for
// docs/SIGN-IN.md.
package browser
