package resource

// Pool is resources that were reserved together and are given out in parts, bundles: a placement group. Each bundle has accounts of its
// own; what is taken from a bundle was taken from the node's Ledger before, when the whole was reserved. A Pool gives nothing until Open.
type Pool struct {
	bundles []*Ledger
	whole   Request
	open    bool
}

// NewPool returns a pool of bundles, closed. The error is an *Error for a bundle that cannot be.
func (s *Set) NewPool(bundles []Request) (*Pool, error) {
	p := &Pool{whole: Request{Custom: make(map[string]int64)}}
	for _, b := range bundles {
		if _, err := s.needs(b); err != nil {
			return nil, err
		}
		whole := b
		whole.GPUs = 0 // counted by device, in Open
		l, err := s.NewLedger(whole)
		if err != nil {
			return nil, err
		}
		l.total[GPU] = b.GPUs
		p.bundles = append(p.bundles, l)
		p.whole.CPUs += b.CPUs
		p.whole.GPUs += b.GPUs
		p.whole.Memory += b.Memory
		for name, units := range b.Custom {
			p.whole.Custom[name] += units
		}
	}
	if p.whole.GPUs > Unit { // bundles share no device unless one device is enough for all
		p.whole.GPUs = 0
		for _, b := range bundles {
			p.whole.GPUs += (b.GPUs + Unit - 1) / Unit * Unit
		}
	}
	if _, err := s.needs(p.whole); err != nil {
		return nil, err
	}
	return p, nil
}

// Whole returns what must be taken from the node for all bundles together.
func (p *Pool) Whole() Request { return p.whole }

// Opened reports whether the pool gives out what it has.
func (p *Pool) Opened() bool { return p.open }

// Open lets the pool give out what it has: Whole was taken from the node, with these GPUs, which the bundles get in order.
func (p *Pool) Open(devices Devices) {
	p.open = true
	indices := devices.Append(nil)
	shared := len(indices) == 1 && p.whole.GPUs <= Unit
	for _, l := range p.bundles {
		amount := l.total[GPU]
		l.free[GPU] = amount
		l.devices = make([]int64, MaxDevices)
		for amount > 0 && len(indices) > 0 {
			part := min(amount, Unit)
			l.devices[indices[0]] = part
			amount -= part
			if !shared {
				indices = indices[1:]
			}
		}
	}
}

// Close ends the pool: it gives nothing any more.
func (p *Pool) Close() { p.open = false }

// Bundle returns the accounts of a bundle, or of all for -1, and nil for an index that is not there. They are those of the pool: what is
// taken from them must be given back to the same.
func (p *Pool) Bundle(index int) []*Ledger {
	switch {
	case index == -1:
		return p.bundles
	case index < 0 || index >= len(p.bundles):
		return nil
	default:
		return p.bundles[index : index+1]
	}
}
