package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

const (
	// envRuntime carries the runtime environment of a job, and of its workers, beside their variables.
	envRuntime = "MOBULA_RUNTIME_ENV"
	// envRuntimeOnly asks a process to set an environment up, and for nothing else.
	envRuntimeOnly = "MOBULA_RUNTIME_ENV_ONLY"
	// envRuntimeDir names the directory of the node: what comes from archives is unpacked there.
	envRuntimeDir = "MOBULA_RUNTIME_DIR"
	// envPath is what a Python worker puts in front of its path once it is up.
	envPath = "MOBULA_DRIVER_PATH"
)

// setupTimeout is how long a runtime environment may take to be set up, unless it says otherwise; and setupForever what is taken for no limit.
const setupTimeout, setupForever = 10 * time.Minute, 365 * 24 * time.Hour

// runtimeEnv is what the node reads of a Python runtime environment. The client has checked it, and merged that of a task with that of its submitter;
// module mobula._runtime_env, which is the first process of such an environment, does the rest.
type runtimeEnv struct {
	EnvVars      map[string]string `json:"env_vars"`
	WorkingDir   string            `json:"working_dir"`
	PyModules    []string          `json:"py_modules"`
	PyExecutable string            `json:"py_executable"`
	Pip          json.RawMessage   `json:"pip"`
	UV           json.RawMessage   `json:"uv"`
	Config       struct {
		SetupTimeoutSeconds float64 `json:"setup_timeout_seconds"`
		EagerInstall        *bool   `json:"eager_install"`
		// Start is "fork" (the default: from a zygote) or "spawn" (each anew).
		Start string `json:"start"`
	} `json:"config"`
}

// parseRuntimeEnv reads a runtime environment.
func parseRuntimeEnv(text string) (runtimeEnv, error) {
	var r runtimeEnv
	if text == "" {
		return r, nil
	}
	if !strings.HasPrefix(strings.TrimSpace(text), "{") {
		return r, errors.New("the runtime environment is not a JSON object")
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return r, fmt.Errorf("the runtime environment: %w", err)
	}
	if s := r.Config.Start; s != "" && s != "fork" && s != "spawn" {
		return r, fmt.Errorf("config.start of a runtime environment is %q; it can be fork or spawn", s)
	}
	if reason := badEnv(r.EnvVars); reason != "" {
		return r, fmt.Errorf("env_vars of a runtime environment: %s", reason)
	}
	return r, nil
}

// changes reports whether the first process of the environment must be that of mobula._runtime_env.
func (r *runtimeEnv) changes() bool {
	return r.WorkingDir != "" || len(r.PyModules) > 0 || r.PyExecutable != "" || len(r.Pip) > 0 || len(r.UV) > 0
}

// builds reports whether that process may have much to do, or may fail, so that it is run once ahead of all workers.
func (r *runtimeEnv) builds() bool {
	return r.PyExecutable != "" || len(r.Pip) > 0 || len(r.UV) > 0 || slices.ContainsFunc(append(r.PyModules, r.WorkingDir), fetched)
}

// fetched reports whether a URI is anything but that of a directory of this machine.
func fetched(uri string) bool {
	path, local := strings.CutPrefix(uri, "file://")
	archive := slices.ContainsFunc([]string{".zip", ".whl", ".tar.gz", ".tgz", ".tar.xz"}, func(s string) bool { return strings.HasSuffix(path, s) })
	return uri != "" && (!local || archive)
}

// timeout is how long setting up may take.
func (r *runtimeEnv) timeout() time.Duration {
	switch s := r.Config.SetupTimeoutSeconds; {
	case s < 0 || s > setupForever.Seconds():
		return setupForever
	case s == 0:
		return setupTimeout
	default:
		return time.Duration(s * float64(time.Second))
	}
}

// apply changes how Python workers are started as a runtime environment says. dir is the node's directory.
func (r *runtimeEnv) apply(spec *workerpool.Spec, dir string) {
	if r.changes() {
		spec.Env[envRuntimeDir] = dir
		spec.Args[len(spec.Args)-1] = "mobula._runtime_env" // it becomes mobula._zygote
		spec.TakeoverTimeout = r.timeout()
	}
	if r.Config.Start == "spawn" {
		spec.Fork = false
	}
}

var reference = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// setVariables adds the environment's variables to those that the job's workers have.
func (r *runtimeEnv) setVariables(vars map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(r.EnvVars)) {
		vars[name] = expand(r.EnvVars[name], vars)
	}
}

// expand replaces each ${NAME} in the value of a variable by what the job's workers, or else the node, have of that name.
func expand(value string, vars map[string]string) string {
	return reference.ReplaceAllStringFunc(value, func(match string) string {
		name := match[2 : len(match)-1]
		if v, ok := vars[name]; ok && v != value {
			return v
		}
		return os.Getenv(name)
	})
}

// directory is the node's, in which its socket is.
func (n *Node) directory() string {
	if _, path, ok := strings.Cut(n.cfg.Address, ":"); ok && filepath.IsAbs(path) {
		return filepath.Dir(path)
	}
	return os.TempDir()
}

// refusedRuntimeEnv is the outcome of calls whose runtime environment cannot be.
func refusedRuntimeEnv(t *template, err error) *mobulav1.ErrorValue {
	return &mobulav1.ErrorValue{
		Kind: mobulav1.ErrorKind_ERROR_KIND_RUNTIME_ENV, Message: err.Error(), Function: t.name, Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
	}
}

// environment is what tells the workers of a template from those of others: its variables, its runtime environment, and its language where that is
// not the driver's. That of the job itself is empty.
func (t *template) environment() map[string]string {
	more := make(map[string]string)
	switch text := t.options.GetRuntimeEnv(); text {
	case "":
		maps.Copy(more, t.options.GetEnv())
	case t.job.env[envRuntime]:
	default:
		maps.Copy(more, t.options.GetEnv())
		more[envRuntime] = text
	}
	if t.language != t.job.language {
		more[envLanguage] = t.language.String()
		if t.language == mobulav1.Language_LANGUAGE_GO {
			more[envExecutable] = t.frame.GetExecutable()
		}
	}
	return more
}

// runtimeOf returns the runtime environment of the job's workers with that environment.
func (j *job) runtimeOf(env string) runtimeEnv {
	text, ok := j.envs[env][envRuntime]
	if !ok {
		text = j.env[envRuntime]
	}
	r, _ := parseRuntimeEnv(text) // both were checked
	return r
}

// sorted returns the environments of a job in an order that depends on nothing.
func (j *job) sortedEnvironments() []*environment {
	list := make([]*environment, 0, len(j.environments))
	for _, key := range slices.Sorted(maps.Keys(j.environments)) {
		list = append(list, j.environments[key])
	}
	return list
}
