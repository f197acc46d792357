package ownership

import (
	"maps"
	"slices"
)

// CollectCircles frees those of the objects whose values contain refs to each other in a circle, or to themselves, and that nothing else
// holds: counting never does. The owner calls it with what is left of a program that has ended, for programs hardly make circles.
func (d *Directory) CollectCircles(objects []*Object) {
	inside := make(map[*Object]int32, len(objects)) // how often the values of the others hold each
	for _, o := range objects {
		inside[o] = 0
	}
	for _, o := range objects {
		for _, r := range o.refs() {
			if _, ok := inside[r]; ok {
				inside[r]++
			}
		}
	}
	var kept []*Object
	for o, n := range inside {
		if o.internal > n || o.holds > 0 || len(o.moreHolds()) > 0 {
			kept = append(kept, o)
		}
	}
	for len(kept) > 0 {
		last := len(kept) - 1
		o := kept[last]
		kept = kept[:last]
		if _, ok := inside[o]; ok {
			delete(inside, o)
			kept = append(kept, o.refs()...)
		}
	}
	circles := slices.Collect(maps.Keys(inside))
	sortByID(circles)
	var held []*Object
	for _, o := range circles {
		held = append(held, o.value.Refs...) // it has a value, or its maker would hold it
		o.value.Refs = nil
	}
	for _, r := range held {
		d.Drop(r)
	}
}
