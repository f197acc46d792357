package ownership

import (
	"bytes"
	"slices"
)

// sortByID puts objects in an order that does not depend on a map's.
func sortByID(objects []*Object) {
	slices.SortFunc(objects, func(a, b *Object) int { return bytes.Compare(a.ID[:], b.ID[:]) })
}
