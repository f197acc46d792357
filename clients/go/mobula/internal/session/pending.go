package session

// pendingBlock is how many submissions share one block.
const pendingBlock = 256

// pending are the submissions without all results, by their sequence, which counts from 1 without gaps. Blocks of pointers, in place of a
// map with an entry for each, keep a million of them in 8 MB.
type pending struct {
	blocks  map[uint64]*block
	several map[uint64][]Object // the results of those with more than one
}

type block struct {
	first [pendingBlock]*Object // the first result of each; nil when all results are there
	done  int
}

func newPending() pending {
	return pending{blocks: make(map[uint64]*block), several: make(map[uint64][]Object)}
}

// at returns a submission's block, which may be nil, with the number of that block and the place in it.
func (p *pending) at(sequence uint64) (b *block, number uint64, place int) {
	number, place = (sequence-1)/pendingBlock, int((sequence-1)%pendingBlock)
	return p.blocks[number], number, place
}

func (p *pending) add(sequence uint64, objects []Object) {
	b, number, place := p.at(sequence)
	if b == nil {
		b = new(block)
		p.blocks[number] = b
	}
	b.first[place] = &objects[0]
	if len(objects) > 1 {
		p.several[sequence] = objects
	}
}

// object returns a result of a submission, or nil when there is none that could still come.
func (p *pending) object(sequence uint64, index uint32) *Object {
	if objects := p.several[sequence]; int(index) < len(objects) {
		return &objects[index]
	}
	if b, _, place := p.at(sequence); b != nil && index == 0 {
		return b.first[place]
	}
	return nil
}

// settle takes out a submission if all its results are there. The last of its block takes the block along.
func (p *pending) settle(sequence uint64) {
	if objects := p.several[sequence]; objects != nil {
		for i := range objects {
			if !objects[i].Ready() {
				return
			}
		}
		delete(p.several, sequence)
	}
	b, number, place := p.at(sequence)
	b.first[place] = nil
	if b.done++; b.done == pendingBlock {
		delete(p.blocks, number)
	}
}

// drain takes out every submission and yields the results of each.
func (p *pending) drain(yield func(*Object)) {
	for _, b := range p.blocks {
		for _, o := range b.first {
			if o != nil && !o.shared {
				yield(o)
			}
		}
	}
	for _, objects := range p.several {
		for i := range objects {
			yield(&objects[i])
		}
	}
	*p = newPending()
}
