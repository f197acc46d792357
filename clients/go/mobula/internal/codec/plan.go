package codec

import (
	"math/big"
	"reflect"
	"sync"
	"time"
	"unsafe"
)

// encFunc writes the value of the plan's type at p.
type encFunc func(e *Encoder, p unsafe.Pointer) error

// decFunc reads an item into the zero value of the plan's type at p.
type decFunc func(d *Decoder, p unsafe.Pointer) error

// plan is how one Go type is encoded and decoded. It does not change once it is compiled. Plans refer to the plans of
// their parts by pointer, so that recursive types work.
type plan struct {
	typ reflect.Type
	enc encFunc
	dec decFunc
	// set stores a number; nil for types that are not numbers or bools.
	set setFunc
	// special is true for types that do not encode as their kind does.
	special bool
}

// compiled is what the cache holds for a type: its plan, or why it has none.
type compiled struct {
	plan *plan
	err  *TypeError
}

// plans caches compiled by reflect.Type for the life of the process. Programs have a bounded number of types.
var plans sync.Map

// planOf returns the plan of a type. The error is the caller's own.
func planOf(t reflect.Type) (*plan, error) {
	var c compiled
	if v, ok := plans.Load(t); ok {
		c = v.(compiled) //nolint:errcheck // nothing else is stored
	} else {
		c = compileType(t)
	}
	if c.err != nil {
		e := *c.err
		return nil, &e
	}
	return c.plan, nil
}

// compileType compiles a type with all its parts, and publishes them if all is well.
func compileType(t reflect.Type) compiled {
	c := compiler{seen: map[reflect.Type]*plan{}}
	if _, err := c.plan(t); err != nil {
		_ = finish(err, t) // completes err itself
		plans.Store(t, compiled{err: err})
		return compiled{err: err}
	}
	for part, pl := range c.seen {
		plans.LoadOrStore(part, compiled{plan: pl})
	}
	return compiled{plan: c.seen[t]}
}

// Check reports whether values of a type can be sent and read: a *TypeError if not. What an empty interface holds is
// checked only when it is sent.
func Check(t reflect.Type) error {
	_, err := planOf(t)
	return err
}

// compiler compiles one type. seen has the types that are done or under way.
type compiler struct {
	seen map[reflect.Type]*plan
}

// plan returns the plan of a type; it may not be complete before the outermost call returns.
func (c *compiler) plan(t reflect.Type) (*plan, *TypeError) {
	if pl, ok := c.seen[t]; ok {
		return pl, nil
	}
	pl := &plan{typ: t}
	c.seen[t] = pl
	if err := c.compile(pl); err != nil {
		if err.GoType == "" {
			err.GoType = t.String()
		}
		return nil, err
	}
	return pl, nil
}

// part compiles the type of a part of t, which step leads to.
func (c *compiler) part(t, part reflect.Type, step string) (*plan, *TypeError) {
	pl, err := c.plan(part)
	if err != nil {
		_ = at(err, t, step) // adds the step to err itself
		return nil, err
	}
	return pl, nil
}

// compile fills pl.
func (c *compiler) compile(pl *plan) *TypeError {
	if done, err := c.special(pl); done || err != nil {
		return err
	}
	t := pl.typ
	if scalarPlan(pl) {
		return nil
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return c.list(pl)
	case reflect.Map:
		return c.mapping(pl)
	case reflect.Struct:
		return c.structure(pl)
	case reflect.Pointer:
		return c.pointer(pl)
	case reflect.Interface:
		return unsendable("its reader cannot know which type to make; use a concrete type, or any for plain data")
	case reflect.Func, reflect.Chan:
		return unsendable("functions and channels do not cross processes; make it a string name or mark it mobula:\"-\"")
	default: // uintptr, unsafe.Pointer
		return unsendable("an address means nothing in another process; make it a number or mark it mobula:\"-\"")
	}
}

// native returns what fills the plan of a type that has a form of its own, or nil.
func native(t reflect.Type) func(*plan) {
	switch t {
	case timeType:
		return timePlan
	case reflect.TypeFor[time.Duration]():
		return durationPlan
	case reflect.TypeFor[big.Int]():
		return bigIntPlan
	case reflect.TypeFor[Tensor]():
		return tensorPlan
	case errorType:
		return errorPlan
	case protoMessageType:
		return protoInterfacePlan
	}
	if t.Kind() == reflect.Interface && t.NumMethod() == 0 {
		return anyPlan
	}
	return nil
}

// refused are types whose methods would lose a part of the value without a word.
var refused = map[reflect.Type]string{
	reflect.TypeFor[big.Float](): "its text form loses the precision; send a string and the precision",
}

// special fills pl if its type does not encode as its kind does.
func (c *compiler) special(pl *plan) (bool, *TypeError) {
	t := pl.typ
	if fill := native(t); fill != nil {
		fill(pl)
		return true, nil
	}
	if reason, ok := refused[t]; ok {
		return false, unsendable(reason)
	}
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return false, nil
	}
	for _, m := range methodForms {
		if !m.of(t) {
			continue
		}
		promoted, err := mayBePromoted(t, m.of)
		if err != nil {
			return false, err
		}
		if !promoted {
			m.fill(pl)
			return true, nil
		}
	}
	if ptr := reflect.PointerTo(t); ptr.Implements(refEncoderType) != ptr.Implements(refDecoderType) {
		return false, unsendable("it has one of MobulaEncodeRef and MobulaDecodeRef, but not the other")
	}
	return false, nil
}

// methodForms are the ways in which a type's methods decide its form, the first that applies.
var methodForms = []struct {
	of   func(reflect.Type) bool
	fill func(*plan)
}{
	{both(refEncoderType, refDecoderType), refPlan},
	{both(protoMessageType), protoPlan},
	{both(textMarshalerType, textUnmarshalerType), textPlan},
	{both(binaryMarshalerType, binaryUnmarshalerType), binaryPlan},
}

// both returns a function that reports whether the pointer to a type, or an interface type itself, has all methods of the
// interfaces.
func both(interfaces ...reflect.Type) func(reflect.Type) bool {
	return func(t reflect.Type) bool {
		ptr := t
		if t.Kind() != reflect.Interface {
			ptr = reflect.PointerTo(t)
		}
		for _, i := range interfaces {
			if !ptr.Implements(i) {
				return false
			}
		}
		return true
	}
}

// mayBePromoted reports whether a struct may have got its methods from an embedded field, so that they would encode that
// field and lose the others. Nothing in reflect tells such a method from the struct's own. When all other fields are
// exported the struct is encoded field by field, which loses nothing either way; else it is an error.
func mayBePromoted(t reflect.Type, of func(reflect.Type) bool) (bool, *TypeError) {
	if t.Kind() != reflect.Struct || t.NumField() < 2 {
		return false, nil
	}
	var from *reflect.StructField
	hidden := ""
	for f := range t.Fields() {
		switch {
		case f.Anonymous && of(indirect(f.Type)):
			from = &f
		case !f.IsExported() && f.Name != "_":
			hidden = f.Name
		}
	}
	switch {
	case from == nil:
		return false, nil
	case hidden != "":
		return false, unsendable("it embeds " + from.Type.String() + ", whose methods may encode that field alone and lose " + hidden +
			"; give the embedded field a name")
	default:
		return true, nil
	}
}

// indirect returns what a pointer type points to, or the type itself.
func indirect(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// pointer fills the plan of a pointer: nil, or what it points to.
func (c *compiler) pointer(pl *plan) *TypeError {
	elem, err := c.part(pl.typ, pl.typ.Elem(), "")
	if err != nil {
		return err
	}
	pl.enc = func(e *Encoder, p unsafe.Pointer) error {
		q := *(*unsafe.Pointer)(p)
		if q == nil {
			e.Nil()
			return nil
		}
		if err := e.enter(); err != nil {
			return err
		}
		if err := elem.enc(e, q); err != nil {
			return at(err, elem.typ, "")
		}
		e.leave()
		return nil
	}
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		if d.isNil() {
			return nil
		}
		if err := d.enter(); err != nil {
			return err
		}
		q := reflect.New(elem.typ).UnsafePointer()
		if err := elem.dec(d, q); err != nil {
			return at(err, elem.typ, "")
		}
		*(*unsafe.Pointer)(p) = q
		d.leave()
		return nil
	}
	return nil
}
