// Package model is what code generators work from: the functions and actors of one package, their parameters and results
// as schemas, and their options. It says nothing about Go's type checker, so that a generator for another language needs
// nothing else.
//
// The package is pure: it does no I/O, keeps no state, and the order of maps never shows in what it returns.
package model

// Name is the name of a declared type or of a type parameter.
type Name struct {
	// Path is the import path of the declaring package; empty for a type parameter and for what the language declares.
	Path string
	// Package is the name of the declaring package.
	Package string
	// Name is the declared identifier.
	Name string
}

// Package is everything in one package that can be called remotely. Lists are sorted by name.
type Package struct {
	// Path is the import path; it begins the identity of everything in the package.
	Path string
	// Name is the name of the package.
	Name string
	// Functions are the functions that run as tasks.
	Functions []*Function
	// Actors are the types whose values live in a process of the cluster.
	Actors []*Actor
	// Types has the definition of every declared type that a signature reaches, by Type.ID.
	Types Types
}

// Types maps the ID of a declared type to its definition.
type Types map[string]*Definition

// Function is a function, a constructor or a method.
type Function struct {
	// Name is the identifier in the source.
	Name string
	// Doc is the doc comment, without comment markers and directives.
	Doc string
	// Signature is that of the source; in a generic function its types mention the type parameters.
	Signature Signature
	// Options are those of the annotation.
	Options Options
	// TypeParams are the type parameters of a generic function.
	TypeParams []TypeParam
	// Instances are what is registered: exactly one without type arguments, or one for each listed instantiation of a
	// generic function, sorted by ID.
	Instances []Instance
}

// Generic reports whether the function has type parameters.
func (f *Function) Generic() bool { return len(f.TypeParams) > 0 }

// Instance is one registered form of a function.
type Instance struct {
	// ID is the identity under which it is registered and called: "import/path.Func", "import/path.Func[float64]",
	// "import/path.NewType" or "import/path.Type.Method".
	ID string
	// Args are the type arguments; none if the function is not generic.
	Args []*Type
	// Signature has the arguments in place of the type parameters.
	Signature Signature
	// Fingerprint changes whenever the values that go over the wire do; see Package.Fingerprint.
	Fingerprint uint64
}

// Signature is what a function takes and returns, and how the source is to be called.
type Signature struct {
	// Params are the parameters, without a leading context.
	Params []Param
	// Results are the results, without a trailing error. A constructor has none: its result is the actor.
	Results []Param
	// Context is true if the source takes a context before everything else.
	Context bool
	// Fails is true if the source returns an error after everything else.
	Fails bool
	// Variadic is true if the last parameter of the source is variadic. Its Type is a slice: that is what is sent.
	Variadic bool
}

// Param is a parameter or a result.
type Param struct {
	// Name is the identifier in the source; empty or "_" if it has none.
	Name string
	// Type is what is sent.
	Type *Type
}

// TypeParam is a type parameter of a generic function.
type TypeParam struct {
	// Name is the identifier in the source.
	Name string
	// Constraint is the constraint: a declared type, a union, or any.
	Constraint *Type
}

// Actor is a type whose values live in one process and are called there.
type Actor struct {
	// Name is the identifier of the type in the source.
	Name string
	// ID is the identity of the class: "import/path.Type".
	ID string
	// Doc is the doc comment, without comment markers and directives.
	Doc string
	// Options are those of the annotation.
	Options Options
	// Constructors make an actor; at least one.
	Constructors []*Constructor
	// Methods are what can be called on it.
	Methods []*Function
}

// Constructor makes an actor.
type Constructor struct {
	Function
	// Zero is true if the source has no constructor: the actor starts as the zero value of its type.
	Zero bool
}
