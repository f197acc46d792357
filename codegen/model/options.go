package model

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Target is what an annotation stands on.
type Target uint8

// The targets of options.
const (
	OnTask Target = 1 << iota
	OnActor
	OnMethod
)

// String says what the target is, or several of them, in a sentence.
func (t Target) String() string {
	var out []string
	for _, k := range []struct {
		target Target
		text   string
	}{{OnTask, "a task"}, {OnActor, "an actor"}, {OnMethod, "a method"}} {
		if t&k.target != 0 {
			out = append(out, k.text)
		}
	}
	return strings.Join(out, " or ")
}

// Options are the options of an annotation. The zero value is an annotation without options: the runtime's defaults hold.
type Options struct {
	// CPU and GPU are numbers of units; nil if not given.
	CPU, GPU *float64
	// Memory is in bytes; nil if not given.
	Memory *int64
	// Resources are custom resources, sorted by name.
	Resources []Resource
	// MaxRetries and the other counts are nil if not given; -1 is without limit.
	MaxRetries, MaxRestarts, MaxTaskRetries, MaxPendingCalls *int
	// MaxConcurrency is how many calls an actor runs at the same time; nil if not given.
	MaxConcurrency *int
	// RetryErrors is true if errors of the user's code are retried: those in RetryNames, or any if there are none.
	RetryErrors bool
	// RetryNames are registered names of errors, sorted.
	RetryNames []string
	// Isolated is true if the work wants a process of its own.
	Isolated bool
	// Detached is true if an actor outlives its job.
	Detached bool
	// Labels are for people and queries, sorted by key.
	Labels []Label

	// given has the names of the options that were set.
	given []string
}

// Resource is an amount of a custom resource.
type Resource struct {
	Name  string
	Units float64
}

// Label is one label.
type Label struct{ Key, Value string }

// OptionFault is what is wrong with an option.
type OptionFault uint8

// The faults of options.
const (
	// UnknownOption has a name that no option has.
	UnknownOption OptionFault = iota + 1
	// BadOptionValue has a value that the option does not take.
	BadOptionValue
	// MisplacedOption is an option of another target.
	MisplacedOption
	// RepeatedOption was given before.
	RepeatedOption
)

// OptionError says what is wrong with one option of an annotation, and what to do about it.
type OptionError struct {
	Fault OptionFault
	What  string
	Why   string
	Fix   string
}

// Error implements error.
func (e *OptionError) Error() string { return e.What + "; " + e.Why + "; " + e.Fix }

// option is one known option.
type option struct {
	name string
	on   Target
	// want describes the values, as in "want …".
	want string
	// flag is true if the option may stand without a value.
	flag bool
	set  func(o *Options, value string) error
}

// knownOptions are all options, sorted by name.
var knownOptions = []option{
	{"cpu", OnTask | OnActor, "a number of CPUs such as 2 or 0.5", false,
		func(o *Options, v string) (err error) { o.CPU, err = units(v); return err }},
	{"gpu", OnTask | OnActor, "a whole number of GPUs, or a fraction below 1", false,
		func(o *Options, v string) (err error) { o.GPU, err = gpus(v); return err }},
	{"isolation", OnTask | OnActor, "process or shared", false,
		func(o *Options, v string) error { return choice(v, "process", "shared", &o.Isolated) }},
	{"label", OnTask | OnActor, "key:value pairs such as team:search,tier:1", false,
		func(o *Options, v string) (err error) { o.Labels, err = labels(v); return err }},
	{"lifetime", OnActor, "detached or job", false,
		func(o *Options, v string) error { return choice(v, "detached", "job", &o.Detached) }},
	{"max_concurrency", OnActor, "a number of calls, 1 or more", false,
		func(o *Options, v string) (err error) { o.MaxConcurrency, err = count(v, 1); return err }},
	{"max_pending_calls", OnActor, "a number of calls, or -1 for no limit", false,
		func(o *Options, v string) (err error) { o.MaxPendingCalls, err = count(v, -1); return err }},
	{"max_restarts", OnActor, "a number of restarts, or -1 for no limit", false,
		func(o *Options, v string) (err error) { o.MaxRestarts, err = count(v, -1); return err }},
	{"max_retries", OnTask, "a number of retries, or -1 for no limit", false,
		func(o *Options, v string) (err error) { o.MaxRetries, err = count(v, -1); return err }},
	{"max_task_retries", OnActor | OnMethod, "a number of retries, or -1 for no limit", false,
		func(o *Options, v string) (err error) { o.MaxTaskRetries, err = count(v, -1); return err }},
	{"memory", OnTask | OnActor, "bytes such as 1048576, 512MiB or 1.5GiB", false,
		func(o *Options, v string) (err error) { o.Memory, err = memory(v); return err }},
	{"resources", OnTask | OnActor, "name:units pairs such as tpu:2,licence:0.5", false,
		func(o *Options, v string) (err error) { o.Resources, err = resources(v); return err }},
	{"retry_errors", OnTask | OnMethod, "nothing, for any error, or registered names such as Busy,Timeout", true,
		func(o *Options, v string) (err error) { o.RetryErrors = true; o.RetryNames, err = names(v); return err }},
}

// OptionNames returns the names of the options that a target takes, sorted.
func OptionNames(on Target) []string {
	var out []string
	for _, k := range knownOptions {
		if k.on&on != 0 {
			out = append(out, k.name)
		}
	}
	return out
}

// Set sets one option from its text, "name=value" or for some "name".
func (o *Options) Set(on Target, text string) *OptionError {
	name, value, valued := strings.Cut(text, "=")
	i := slices.IndexFunc(knownOptions, func(k option) bool { return k.name == name })
	if i < 0 {
		return unknownOption(on, name)
	}
	k := knownOptions[i]
	switch {
	case k.on&on == 0:
		return &OptionError{MisplacedOption, fmt.Sprintf("option %s does not go here", name),
			fmt.Sprintf("it is an option of %s, not of %s", k.on, on), "remove it; here go " + strings.Join(OptionNames(on), ", ")}
	case slices.Contains(o.given, name):
		return &OptionError{RepeatedOption, fmt.Sprintf("option %s is given twice", name), "one of the two would be ignored", "keep one"}
	case !valued && !k.flag:
		return &OptionError{BadOptionValue, fmt.Sprintf("option %s has no value", name), "it wants " + k.want, "write " + name + "=…"}
	case valued && value == "":
		return &OptionError{BadOptionValue, fmt.Sprintf("option %s has an empty value", name), "it wants " + k.want, "write the value without spaces around the ="}
	}
	if err := k.set(o, value); err != nil {
		return &OptionError{BadOptionValue, fmt.Sprintf("option %s has the value %q", name, value), err.Error(), "write " + k.want}
	}
	o.given = append(o.given, name)
	return nil
}

// unknownOption returns the error for a name that no option has.
func unknownOption(on Target, name string) *OptionError {
	e := &OptionError{UnknownOption, fmt.Sprintf("unknown option %s", name), "no option has this name", ""}
	var all []string
	for _, k := range knownOptions {
		all = append(all, k.name)
	}
	if near := Nearest(name, all); near != "" {
		e.Fix = "did you mean " + near + "?"
	} else {
		e.Fix = "use one of " + strings.Join(OptionNames(on), ", ")
	}
	return e
}

const (
	// unitsPerOne is how finely resources are counted.
	unitsPerOne = 10_000
	// unitsMax keeps fixed-point amounts far from the end of int64.
	unitsMax = 1e9
)

// units reads an amount of a resource.
func units(s string) (*float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || strings.ContainsAny(s, "xXpP_") {
		return nil, fmt.Errorf("%q is not a number", s)
	}
	if v < 0 || v > unitsMax {
		return nil, fmt.Errorf("%s is not between 0 and %.0f", s, float64(unitsMax))
	}
	if scaled := v * unitsPerOne; math.Abs(scaled-math.Round(scaled)) > 1e-6*max(1, scaled) {
		return nil, fmt.Errorf("%s has more than four decimals", s)
	}
	return &v, nil
}

// gpus reads a number of GPUs: more than one are whole devices.
func gpus(s string) (*float64, error) {
	v, err := units(s)
	if err == nil && *v > 1 && *v != math.Trunc(*v) {
		return nil, fmt.Errorf("%s is more than one GPU and not a whole number", s)
	}
	return v, err
}

// count reads a number that is at least least.
func count(s string, least int) (*int, error) {
	v, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%q is not a whole number of 32 bits", s)
	}
	if v < int64(least) {
		return nil, fmt.Errorf("%d is less than %d", v, least)
	}
	n := int(v)
	return &n, nil
}

// choice reads one of two words and reports whether it was the first.
func choice(s, first, second string, out *bool) error {
	if s != first && s != second {
		return fmt.Errorf("%q is neither %s nor %s", s, first, second)
	}
	*out = s == first
	return nil
}

// memoryUnits are the suffixes of memory, longest first where one ends with another.
var memoryUnits = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
}

// memoryMax is 4 PiB, up to which a float64 is exact to the byte.
const memoryMax = 1 << 52

// memory reads bytes.
func memory(s string) (*int64, error) {
	number, scale := s, 1.0
	for _, u := range memoryUnits {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			number, scale = rest, u.bytes
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(v) || strings.ContainsAny(number, "xXpP_") {
		return nil, fmt.Errorf("%q is not an amount of memory", s)
	}
	bytes := v * scale
	if bytes < 0 || bytes > memoryMax || bytes != math.Trunc(bytes) {
		return nil, fmt.Errorf("%s is not a whole number of bytes between 0 and 4 PiB", s)
	}
	n := int64(bytes)
	return &n, nil
}

// Limits on what names and labels may be; the runtime has the same.
const (
	nameMax   = 256
	labelsMax = 64
)

// pairs splits "a:b,c:d" and checks the names.
func pairs(s string) ([][2]string, error) {
	var out [][2]string
	for item := range strings.SplitSeq(s, ",") {
		key, value, ok := strings.Cut(item, ":")
		if !ok || key == "" || value == "" {
			return nil, fmt.Errorf("%q is not a pair name:value", item)
		}
		if len(key) > nameMax || len(value) > nameMax {
			return nil, fmt.Errorf("%.20q… is longer than %d bytes", item, nameMax)
		}
		if slices.ContainsFunc(out, func(p [2]string) bool { return p[0] == key }) {
			return nil, fmt.Errorf("%q is given twice", key)
		}
		out = append(out, [2]string{key, value})
	}
	slices.SortFunc(out, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return out, nil
}

// resources reads custom resources.
func resources(s string) ([]Resource, error) {
	list, err := pairs(s)
	if err != nil {
		return nil, err
	}
	var out []Resource
	for _, p := range list {
		if slices.Contains([]string{"cpu", "gpu", "memory"}, strings.ToLower(p[0])) {
			return nil, fmt.Errorf("%s is not a custom resource but the option %s", p[0], strings.ToLower(p[0]))
		}
		amount, err := units(p[1])
		if err != nil {
			return nil, err
		}
		out = append(out, Resource{p[0], *amount})
	}
	return out, nil
}

// labels reads labels.
func labels(s string) ([]Label, error) {
	list, err := pairs(s)
	if err != nil {
		return nil, err
	}
	if len(list) > labelsMax {
		return nil, fmt.Errorf("there are %d labels, more than %d", len(list), labelsMax)
	}
	var out []Label
	for _, p := range list {
		out = append(out, Label{p[0], p[1]})
	}
	return out, nil
}

// names reads a list of names; none from an empty text.
func names(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	list := strings.Split(s, ",")
	slices.Sort(list)
	for i, n := range list {
		if n == "" || len(n) > nameMax {
			return nil, fmt.Errorf("%.20q is not a name of 1 to %d bytes", n, nameMax)
		}
		if i > 0 && list[i-1] == n {
			return nil, fmt.Errorf("%q is given twice", n)
		}
	}
	return list, nil
}
