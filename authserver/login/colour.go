package login

import (
	"fmt"
	"math"
	"strconv"
)

// colour is red, green and blue of sRGB.
type colour [3]uint8

// Grounds that text stands on in style.css, in light and dark.
var (
	white     = colour{255, 255, 255}
	black     = colour{0, 0, 0}
	lightSide = colour{0xf4, 0xf4, 0xf6} // the darkest ground of light pages
	darkSide  = colour{0x26, 0x26, 0x2e} // the lightest ground of dark pages
)

// readable is the contrast that text needs (WCAG 2.2 §1.4.3, level AA).
const readable = 4.5

// parseColour reads #rrggbb.
func parseColour(s string) (colour, bool) {
	if len(s) != 7 || s[0] != '#' {
		return colour{}, false
	}
	n, err := strconv.ParseUint(s[1:], 16, 32)
	if err != nil {
		return colour{}, false
	}
	return colour{uint8(n >> 16), uint8(n >> 8), uint8(n)}, true
}

func (c colour) String() string { return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2]) }

// luminance is the relative luminance (WCAG 2.2, terms).
func (c colour) luminance() float64 {
	var linear [3]float64
	for i, v := range c {
		s := float64(v) / 255
		if s <= 0.04045 {
			linear[i] = s / 12.92
		} else {
			linear[i] = math.Pow((s+0.055)/1.055, 2.4)
		}
	}
	return 0.2126*linear[0] + 0.7152*linear[1] + 0.0722*linear[2]
}

// contrast is the contrast ratio of two colours, 1 to 21.
func contrast(a, b colour) float64 {
	high, low := a.luminance(), b.luminance()
	if high < low {
		high, low = low, high
	}
	return (high + 0.05) / (low + 0.05)
}

// on answers black or white, whichever can be read on the colour. One of the two always can.
func (c colour) on() colour {
	if contrast(c, white) >= contrast(c, black) {
		return white
	}
	return black
}

// towards moves the colour to an end until it can be read on the ground.
func (c colour) towards(end, ground colour) colour {
	const steps = 64
	mixed := c
	for i := 0; i <= steps && contrast(mixed, ground) < readable; i++ {
		for k := range mixed {
			mixed[k] = uint8((int(c[k])*(steps-i) + int(end[k])*i) / steps)
		}
	}
	return mixed
}

// accentSheet is the stylesheet of one accent: buttons have the colour itself, text and lines a shade that can be read.
func accentSheet(c colour) string {
	return fmt.Sprintf(":root{--accent:%s;--on-accent:%s;--ink:light-dark(%s,%s)}\n",
		c, c.on(), c.towards(black, lightSide), c.towards(white, darkSide))
}
