package ownership

import "iter"

// All yields every object, in no order. Unlike with Each, the directory may change between two objects: one that goes meanwhile is not
// yielded, one that comes may be. So a long list can be made in pieces, between which the owner works on.
func (d *Directory) All() iter.Seq[*Object] { return d.objects.all() }
