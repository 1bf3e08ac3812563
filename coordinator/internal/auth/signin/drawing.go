package signin

import (
	"fmt"
	"strings"

	goqr "github.com/piglig/go-qr"
)

// quiet is the white that a reader needs around a QR code, in modules (ISO/IEC 18004).
const quiet = 4

// drawing is a QR code as the path of an SVG of Size x Size modules.
type drawing struct {
	Size int
	Path string
}

// draw draws a text. A page has it inline, so that nothing of it is loaded or kept.
func draw(text string) (drawing, error) {
	code, err := goqr.EncodeText(text, goqr.Medium)
	if err != nil {
		return drawing{}, err
	}
	var path strings.Builder
	for y := range code.Size() {
		for x := range code.Size() {
			if code.Module(x, y) {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	return drawing{Size: code.Size() + 2*quiet, Path: path.String()}, nil
}
