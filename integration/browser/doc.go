// Package browser sees the sign-in pages as a person does: in Chromium, by the keyboard
// alone, with a passkey that its DevTools play (CDP's WebAuthn domain), at a built
// coordinator on loopback.
//
// Its tests have the build tag "browser", for they need Chromium: `make browser` runs
// them, and no other door does. CORDON_PICTURES names a directory that they fill with
// pictures of the pages, for docs/SIGN-IN.md.
package browser
