// Package mobula runs Go functions as tasks and Go structs as actors, on this machine or on a cluster.
//
// Annotate a function, run go generate, and call its stub:
//
//	//mobula:remote
//	func Square(ctx context.Context, x int) (int, error) { return x * x, nil }
//
//	ctx, stop, err := mobula.Init(ctx)
//	defer stop()
//	ref := SquareRemote(ctx, 7) // a task; returns at once
//	n, err := ref.Get(ctx)      // 49
//
// A Ref is a future: it resolves to the function's result or to an *Error that says what happened, where, why, and whether the
// work may have run. Refs go into other calls as arguments (SquareRefs) without being waited for, and inside structs, slices and maps.
//
// Init starts a node of its own, a child process that ends with the program, unless an address is given.
package mobula
