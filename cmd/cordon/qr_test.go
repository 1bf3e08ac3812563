package main

import (
	"image"
	"image/color"
	"strings"
	"testing"
	"unicode/utf8"

	qr "github.com/piglig/go-qr"
)

// What the terminal shows is read as a phone would: dark where there is ink, light
// elsewhere, and the address comes out.
func TestQRCodeReadsAsTheAddress(t *testing.T) {
	const url = "https://coordinator.clinic.example:8443/login/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBka"
	text := qrCode(url, 80, 40)
	if got, err := qr.Decode(photograph(t, text)); err != nil || got != url {
		t.Fatalf("reads %q, %v from\n%s", got, err, text)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	wide := utf8.RuneCountInString(plainText(t, lines[0]))
	if qrCode(url, wide, len(lines)) != text {
		t.Fatal("a terminal that it just fits in does not show it")
	}
	for name, small := range map[string]string{
		"narrow": qrCode(url, wide-1, 40), "low": qrCode(url, 80, len(lines)-1), "endless": qrCode(strings.Repeat("x", 4000), 10_000, 10_000),
	} {
		if small != "" {
			t.Errorf("%s: shown, and it does not fit", name)
		}
	}
}

// plainText takes the colours off a line: both are set, and taken back at its end.
func plainText(t *testing.T, line string) string {
	t.Helper()
	rest, begins := strings.CutPrefix(line, "\x1b[30;107m")
	inner, ends := strings.CutSuffix(rest, "\x1b[0m")
	if !begins || !ends {
		t.Fatalf("a line without both colours: %q", line)
	}
	return inner
}

// photograph is what a camera sees, eight pixels to a module.
func photograph(t *testing.T, text string) image.Image {
	t.Helper()
	const scale = 8
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	wide := utf8.RuneCountInString(plainText(t, lines[0]))
	out := image.NewGray(image.Rect(0, 0, wide*scale, 2*len(lines)*scale))
	ink := func(x, y int, dark bool) {
		shade := color.Gray{Y: 255}
		if dark {
			shade.Y = 0
		}
		for i := range scale * scale {
			out.SetGray(x*scale+i%scale, y*scale+i/scale, shade)
		}
	}
	for y, line := range lines {
		for x, r := range []rune(plainText(t, line)) {
			ink(x, 2*y, r == '█' || r == '▀')
			ink(x, 2*y+1, r == '█' || r == '▄')
		}
	}
	return out
}
