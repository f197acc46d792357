package core

import (
	"sync"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// pythonFuncs are the functions, classes and methods of Python that this process has named. Each is made once, however often it is named, since a
// session knows a template by its Func. They are not in the registry: this process does not serve them.
var pythonFuncs = struct {
	mu     sync.Mutex // guards the field below
	byName map[pythonName]*Func
}{byName: make(map[pythonName]*Func)}

type pythonName struct {
	kind mobulav1.TemplateKind
	name string
}

// Python returns the Func of a function, a class (as what makes its actors) or a method of Python. The name is "module.function", "module.Class" or
// "module.Class.method"; the class is that of a class or a method.
func Python(kind mobulav1.TemplateKind, name, class string) *Func {
	key := pythonName{kind: kind, name: name}
	pythonFuncs.mu.Lock()
	defer pythonFuncs.mu.Unlock()
	if f := pythonFuncs.byName[key]; f != nil {
		return f
	}
	f := &Func{Kind: kind, Name: name, Returns: 1, Language: mobulav1.Language_LANGUAGE_PYTHON, options: new(mobulav1.Options)}
	if class != "" {
		f.Class = &Class{Name: class}
	}
	f.plain = template{f: f, options: f.options, key: f}
	pythonFuncs.byName[key] = f
	return f
}
