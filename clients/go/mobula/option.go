package mobula

import (
	"fmt"
	"math"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/core"
)

// Option changes how a call runs or how an actor is made. An option that the runtime cannot honour makes the call fail; none is ignored.
type Option = core.Option

// unitsPerOne is the fixed-point scale of resources: 0.0001 is the least fraction.
const unitsPerOne = 10_000

// maxUnits bounds a quantity, so that sums cannot overflow.
const maxUnits = math.MaxInt64 / 1_000_000

// units converts a quantity of a resource.
func units(name string, q float64) (int64, error) {
	u := math.Round(q * unitsPerOne)
	switch {
	case math.IsNaN(q) || q < 0 || u > maxUnits:
		return 0, fmt.Errorf("option %s: quantity %v is not a number from 0 up", name, q)
	case q > 0 && u == 0:
		return 0, fmt.Errorf("option %s: quantity %v is below 0.0001", name, q)
	}
	return int64(u), nil
}

// quantity makes an option of a quantity.
func quantity(name string, q float64, set func(*mobulav1.Options, int64)) Option {
	return Option{Apply: func(o *mobulav1.Options) error {
		u, err := units(name, q)
		if err != nil {
			return err
		}
		set(o, u)
		return nil
	}}
}

// plain makes an option that cannot be wrong by itself.
func plain(set func(*mobulav1.Options)) Option {
	return Option{Apply: func(o *mobulav1.Options) error { set(o); return nil }}
}

// count makes an option of a count, of which -1 is without limit.
func count(name string, n int, set func(*mobulav1.Options, int32)) Option {
	return Option{Apply: func(o *mobulav1.Options) error {
		if n < -1 || n > math.MaxInt32 {
			return fmt.Errorf("option %s: %d is not a count; -1 is without limit", name, n)
		}
		set(o, int32(n))
		return nil
	}}
}

// CPU asks for that many CPUs; fractions down to 0.0001. Default 1 for a task; an actor needs 1 to be placed and 0 while it lives, unless given.
func CPU(n float64) Option {
	return quantity("CPU", n, func(o *mobulav1.Options, u int64) { o.NumCpus = &u })
}

// GPU asks for that many GPUs; a fraction only below one. Default 0. Work with a GPU has a process of its own.
func GPU(n float64) Option {
	return quantity("GPU", n, func(o *mobulav1.Options, u int64) { o.NumGpus = &u })
}

// Memory asks for that many bytes of memory, for scheduling: it is not enforced.
func Memory(bytes int64) Option {
	return Option{Apply: func(o *mobulav1.Options) error {
		if bytes < 0 {
			return fmt.Errorf("option Memory: %d bytes", bytes)
		}
		o.Memory = &bytes
		return nil
	}}
}

// Resource asks for units of a custom resource.
func Resource(name string, n float64) Option {
	return Option{Apply: func(o *mobulav1.Options) error {
		if name == "" || name == "CPU" || name == "GPU" || name == "memory" {
			return fmt.Errorf("option Resource: %q is not the name of a custom resource", name)
		}
		u, err := units("Resource "+name, n)
		if err != nil {
			return err
		}
		if o.Resources == nil {
			o.Resources = make(map[string]int64)
		}
		o.Resources[name] = u
		return nil
	}}
}

// MaxRetries is how often a task runs again after failures of the system; default 3, -1 without limit. With 0 it runs at most once.
func MaxRetries(n int) Option {
	return count("MaxRetries", n, func(o *mobulav1.Options, n int32) { o.MaxRetries = &n })
}

// RetryErrors lets errors of the function itself use retries too: any, or those registered under the names.
func RetryErrors(names ...string) Option {
	return plain(func(o *mobulav1.Options) { o.RetryExceptions, o.RetryExceptionNames = true, names })
}

// MaxRestarts is how often an actor is made again after its process died; default 0, -1 without limit. Its state is not kept.
func MaxRestarts(n int) Option {
	return count("MaxRestarts", n, func(o *mobulav1.Options, n int32) { o.MaxRestarts = &n })
}

// MaxTaskRetries is how often a method's call runs again after its actor's process died; default 0: at most once. -1 without limit.
func MaxTaskRetries(n int) Option {
	return count("MaxTaskRetries", n, func(o *mobulav1.Options, n int32) { o.MaxTaskRetries = &n })
}

// MaxPendingCalls bounds the calls that wait for an actor or run on it; a call beyond it fails. Default -1, without limit.
func MaxPendingCalls(n int) Option {
	return count("MaxPendingCalls", n, func(o *mobulav1.Options, n int32) { o.MaxPendingCalls = &n })
}

// MaxConcurrency is how many calls an actor runs at the same time; default 1. Above one the order in which they run is not kept.
func MaxConcurrency(n int) Option {
	return Option{Apply: func(o *mobulav1.Options) error {
		if n < 1 || n > math.MaxInt32 {
			return fmt.Errorf("option MaxConcurrency: %d is not at least 1", n)
		}
		o.MaxConcurrency = int32(n)
		return nil
	}}
}

// Name gives an actor a name by which others find it, unique in its namespace while it lives, or a task a label for people.
func Name(name string) Option {
	return Option{Apply: func(o *mobulav1.Options) error {
		if name == "" {
			return fmt.Errorf("option Name: the name is empty")
		}
		o.Name = name
		return nil
	}}
}

// Namespace is where an actor's name counts; default the job's.
func Namespace(namespace string) Option {
	return plain(func(o *mobulav1.Options) { o.Namespace = namespace })
}

// GetIfExists makes a constructor return the living actor of that Name if there is one.
func GetIfExists() Option { return plain(func(o *mobulav1.Options) { o.GetIfExists = true }) }

// Detached lets an actor outlive its job and all its handles.
func Detached() Option {
	return plain(func(o *mobulav1.Options) { o.Lifetime = mobulav1.Lifetime_LIFETIME_DETACHED })
}

// IsolateProcess runs a task or an actor in a process that runs nothing else meanwhile.
func IsolateProcess() Option {
	return plain(func(o *mobulav1.Options) { o.Isolation = mobulav1.Isolation_ISOLATION_PROCESS })
}

// Env sets a variable in the environment of the process; tasks with different environments do not share one.
func Env(name, value string) Option {
	return plain(func(o *mobulav1.Options) {
		if o.Env == nil {
			o.Env = make(map[string]string)
		}
		o.Env[name] = value
	})
}

// Label attaches a label for people and queries.
func Label(name, value string) Option {
	return plain(func(o *mobulav1.Options) {
		if o.Labels == nil {
			o.Labels = make(map[string]string)
		}
		o.Labels[name] = value
	})
}
