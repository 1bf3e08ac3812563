package main

import (
	"os"
	"strings"

	qr "github.com/piglig/go-qr"
	"golang.org/x/term"
)

// quiet is the light margin that a reader needs, in modules (ISO/IEC 18004).
const quiet = 4

// qrForTerminal gives text as a QR code if standard output is a terminal in which
// it fits: for a phone that signs in in place of this machine's browser.
func qrForTerminal(text string) string {
	fd := int(os.Stdout.Fd())
	if !term.IsTerminal(fd) || os.Getenv("TERM") == "dumb" {
		return ""
	}
	width, height, err := term.GetSize(fd)
	if err != nil {
		return ""
	}
	return qrCode(text, width, height)
}

// qrCode draws two rows of modules in each line of text. Both colours are set,
// since some readers take no light code on a dark ground. What is too large comes
// out empty: a code of which the top has left the screen helps nobody.
func qrCode(text string, width, height int) string {
	code, err := qr.EncodeText(text, qr.Low)
	if err != nil || code.Size()+2*quiet > width || (code.Size()+2*quiet+1)/2 > height {
		return ""
	}
	var out strings.Builder
	for y := -quiet; y < code.Size()+quiet; y += 2 {
		out.WriteString("\x1b[30;107m")
		for x := -quiet; x < code.Size()+quiet; x++ {
			out.WriteString(halves(code.Module(x, y), code.Module(x, y+1)))
		}
		out.WriteString("\x1b[0m\n")
	}
	return out.String()
}

// halves is one character: the ink is dark.
func halves(top, bottom bool) string {
	switch {
	case top && bottom:
		return "█"
	case top:
		return "▀"
	case bottom:
		return "▄"
	}
	return " "
}
