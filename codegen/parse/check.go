package parse

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/tools/go/packages"
)

// checker type-checks what is needed of packages, each once and as many at a time as there are processors.
type checker struct {
	fset    *token.FileSet
	list    *listing
	sources map[string]*source
	// reduction says what of a package need not be checked.
	reduction *reduction
	// slots limits the goroutines that parse or check; those that wait for imports hold none.
	slots chan struct{}
	files atomic.Int64

	mu    sync.Mutex
	nodes map[string]*node // by ID; guarded by mu

	docsOnce sync.Once
	docsOf   map[token.Pos]string // see docs
}

// node is one package on its way through the checker.
type node struct {
	once sync.Once
	// What follows is written once, before once is done.
	pkg *types.Package
	// errs are the errors of the type checker. Most do not matter: they are about what was left out.
	errs []types.Error
}

func newChecker(fset *token.FileSet, list *listing, sources map[string]*source) *checker {
	return &checker{
		fset: fset, list: list, sources: sources, reduction: newReduction(sources),
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)), nodes: map[string]*node{},
	}
}

// load checks packages, given by import path, with all that their declarations need.
func (c *checker) load(ctx context.Context, paths []string) {
	var wg sync.WaitGroup
	for _, path := range paths {
		wg.Go(func() { c.check(ctx, c.list.all[path]) })
	}
	wg.Wait()
}

// node returns the node of a package.
func (c *checker) node(id string) *node {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[id]
	if n == nil {
		n = &node{}
		c.nodes[id] = n
	}
	return n
}

// check checks a package, unless that was done, and returns its node. Imports form no cycles, since the listing was
// refused if they do, so waiting for them cannot deadlock.
func (c *checker) check(ctx context.Context, meta *packages.Package) *node {
	n := c.node(meta.ID)
	n.once.Do(func() {
		if meta.PkgPath == "unsafe" {
			n.pkg = types.Unsafe
			return
		}
		files := c.parse(ctx, meta)
		imports := c.imports(ctx, meta, files)
		c.slots <- struct{}{}
		defer func() { <-c.slots }()
		c.files.Add(int64(len(files)))
		cfg := types.Config{
			Importer: imports, FakeImportC: true, IgnoreFuncBodies: true,
			Sizes: types.SizesFor("gc", runtime.GOARCH),
			Error: func(err error) {
				if te, ok := errors.AsType[types.Error](err); ok {
					n.errs = append(n.errs, te)
				}
			},
		}
		// The error is the first of n.errs.
		n.pkg, _ = cfg.Check(meta.PkgPath, c.fset, files, nil)
	})
	return n
}

// parse returns the files of a package, reduced to what types can depend on.
func (c *checker) parse(ctx context.Context, meta *packages.Package) []*ast.File {
	if ctx.Err() != nil {
		return nil
	}
	if s := c.sources[meta.PkgPath]; s != nil {
		for _, f := range s.files {
			c.reduction.reduce(f, meta, s)
		}
		if f := handles(c.fset, s); f != nil {
			return append(slices.Clip(s.files), f)
		}
		return s.files
	}
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	var files []*ast.File
	for _, path := range meta.GoFiles {
		// A file that does not parse is used as far as it does; the compiler tells of the rest.
		f, _ := parser.ParseFile(c.fset, path, nil, parser.SkipObjectResolution)
		if f != nil {
			c.reduction.reduce(f, meta, nil)
			files = append(files, f)
		}
	}
	return files
}

// handles returns a file that declares the handle types of a package, as its generated file does.
func handles(fset *token.FileSet, s *source) *ast.File {
	if len(s.marks.actors) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("package " + s.meta.Name + "\nimport mobula_gen_runtime " + strconv.Quote(RuntimePath) + "\n")
	for _, a := range s.marks.actors {
		b.WriteString("type " + a.spec.Name.Name + "Handle struct{ mobula_gen_runtime.Handle }\n")
	}
	f, err := parser.ParseFile(fset, filepath.Join(s.meta.Dir, StubFile), b.String(), parser.SkipObjectResolution)
	if err != nil {
		return nil // the name of the package or of the type is broken, which is reported elsewhere
	}
	return f
}

// importer has the imports of one package.
type importer map[string]*types.Package

// Import implements types.Importer.
func (im importer) Import(path string) (*types.Package, error) {
	if p := im[path]; p != nil {
		return p, nil
	}
	return nil, errors.New("package " + path + " cannot be found")
}

// imports checks what the files import.
func (c *checker) imports(ctx context.Context, meta *packages.Package, files []*ast.File) importer {
	out := importer{}
	var mu sync.Mutex // guards out
	var wg sync.WaitGroup
	for _, f := range files {
		for _, spec := range f.Imports {
			path := importPath(spec)
			if _, ok := out[path]; ok || path == "C" {
				continue
			}
			out[path] = nil
		}
	}
	paths := make([]string, 0, len(out))
	for path := range out {
		paths = append(paths, path)
	}
	for _, path := range paths {
		imported := meta.Imports[path]
		if imported == nil {
			imported = c.list.all[path]
		}
		wg.Go(func() {
			pkg := standIn(path)
			if imported != nil {
				pkg = c.check(ctx, imported).pkg
			}
			mu.Lock()
			defer mu.Unlock()
			out[path] = pkg
		})
	}
	wg.Wait()
	return out
}

// importPath returns the path of an import; empty if it is not a string.
func importPath(spec *ast.ImportSpec) string {
	path, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return ""
	}
	return path
}

// runtimeDeclarations are those of the client library that generated handles need.
const runtimeDeclarations = `package mobula
type Handle struct{ _ int }
func (Handle) MobulaEncodeRef() (r struct{}, err error)
func (*Handle) MobulaDecodeRef(src any, r struct{}) error
`

// standIn returns a stand-in for the client library where a module that has just begun to use it does not import it yet;
// nil for every other package.
func standIn(path string) *types.Package {
	if path != RuntimePath {
		return nil
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "mobula.go", runtimeDeclarations, parser.SkipObjectResolution)
	if err != nil {
		return nil
	}
	cfg := types.Config{IgnoreFuncBodies: true, Error: func(error) {}}
	pkg, _ := cfg.Check(path, fset, []*ast.File{f}, nil) // the missing bodies are no errors that matter
	return pkg
}
