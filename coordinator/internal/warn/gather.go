package warn

import (
	"fmt"
	"strings"
	"time"
)

const (
	maxNames = 5  // that a gathered warning gives
	maxShare = 70 // characters of each, so that all of them get into a line
)

// step is what warnings are gathered by: things of one kind that are at the same
// threshold, and for which the same is to be done.
type step struct {
	kind, advice string
	reached      int
	amiss        bool
}

// Gather makes one warning of all that are due of one kind at one threshold, so that
// a fleet that lapses in one night does not wake anybody for each of its machines.
// What is alone stays as it is. It keeps the order, by the first of each. It is pure.
func Gather(due []Warning) (all []Warning) {
	of := map[step][]Warning{}
	var order []step
	for _, w := range due {
		s := step{w.Kind, w.Advice, w.reached, w.Until.IsZero()}
		if of[s] == nil {
			order = append(order, s)
		}
		of[s] = append(of[s], w)
	}
	for _, s := range order {
		if one := of[s]; len(one) == 1 {
			all = append(all, one[0])
		} else {
			all = append(all, together(one))
		}
	}
	return all
}

// together is several warnings of one step as one, whose end is that of the first.
func together(all []Warning) Warning {
	w := all[0]
	w.Count, w.Name = len(all), names(all)
	w.Advice += "; `cordonctl warnings` lists all"
	return w
}

func names(all []Warning) string {
	var told []string
	for _, w := range all[:min(len(all), maxNames)] {
		name := []rune(w.Name)
		text := string(name[:min(len(name), maxShare)])
		if len(name) > maxShare {
			text += "..."
		}
		told = append(told, text)
	}
	if more := len(all) - len(told); more > 0 {
		told = append(told, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(told, ", ")
}

// gathered is the text of a warning of several.
func (w Warning) gathered() string {
	what := fmt.Sprintf("%d %s", w.Count, line(plural(w.Kind)))
	name, advice := line(w.Name), line(w.Advice)
	switch first := w.Until.UTC().Format(minutes); {
	case w.Until.IsZero():
		return fmt.Sprintf("%s (%s): %s", what, name, advice)
	case w.Left <= 0:
		return fmt.Sprintf("%s (%s) have ended, the first at %s: %s", what, name, first, advice)
	default:
		return fmt.Sprintf("%s (%s) end within %s, the first at %s: %s", what, name, span(thresholds()[w.reached-1]), first, advice)
	}
}

func plural(kind string) string {
	if stem, ok := strings.CutSuffix(kind, "y"); ok && kind != "key" {
		return stem + "ies"
	}
	return kind + "s"
}

// span gives a time until an end as people say it.
func span(left time.Duration) string {
	if left < 2*day {
		return fmt.Sprintf("%d hours", int(left/time.Hour))
	}
	return fmt.Sprintf("%d days", int(left/day))
}
