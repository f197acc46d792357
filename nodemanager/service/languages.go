package service

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

// A job may call functions of another language than its driver's. Their workers are told from the driver's own by two variables in their
// environment, which users cannot set.
const (
	envLanguage   = "MOBULA_WORKER_LANGUAGE"
	envExecutable = "MOBULA_WORKER_EXECUTABLE"
	// envInterpreter names the Python that serves a job whose driver is no Python program.
	envInterpreter = "MOBULA_PYTHON"
)

// workerLanguage is the language of the job's workers with that environment.
func workerLanguage(j *job, env string) mobulav1.Language {
	if name := j.envs[env][envLanguage]; name != "" {
		return mobulav1.Language(mobulav1.Language_value[name])
	}
	return j.language
}

// notSpoken says why a job cannot have workers for a template of another language than its driver's, or nothing.
func (j *job) notSpoken(t *template) string {
	program := t.frame.GetExecutable()
	switch t.language {
	case mobulav1.Language_LANGUAGE_PYTHON:
		return ""
	case mobulav1.Language_LANGUAGE_GO:
		s, err := os.Stat(program)
		switch {
		case program == "":
			return t.name + " is a Go function, and the call does not name the program that serves it"
		case err != nil || !filepath.IsAbs(program) || !s.Mode().IsRegular() || s.Mode()&0o111 == 0:
			return fmt.Sprintf("%s is a Go function, and %q is not a program of this machine, by its absolute path", t.name, program)
		}
		return ""
	default:
		return fmt.Sprintf("%s is a %v function, and this job has no %v workers", t.name, t.language, t.language)
	}
}

// foreignPython returns the interpreter of a job whose driver is no Python program, and completes what its workers find in their environment: like a
// Python program that is started in the driver's directory they import from there, and from where the node's own environment says.
func (n *Node) foreignPython(j *job, spec *workerpool.Spec) string {
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		if _, set := spec.Env[name]; !set && (strings.HasPrefix(name, "PYTHON") || name == "VIRTUAL_ENV") {
			spec.Env[name] = value
		}
	}
	if spec.Env[envPath] == "" && j.workingDir != "" {
		spec.Env[envPath] = j.workingDir
	}
	for _, name := range []string{spec.Env[envInterpreter], os.Getenv(envInterpreter), "python3"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		if name != "python3" {
			return name // it was chosen: that it cannot be started is said where it is tried
		}
	}
	return "python3"
}
