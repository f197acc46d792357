"""Runtime environments: what the workers of a job, a task or an actor need beside the code that is sent to them.

A driver checks what it is given (`fields`), takes snapshots of directories (`send`), and sends the result as JSON: for the job in the
variable MOBULA_RUNTIME_ENV of its workers, for a task or an actor in the options of its template. A task's environment is that of whoever
submits it, changed by its own: its env_vars are added one by one, every other field replaces.

The node starts the first process of an environment through this package: ``python -P -m mobula._runtime_env`` makes what is missing
(`prepare`) and becomes ``python -P -m mobula._zygote`` of the environment's interpreter in its working directory. Ahead of that the node runs it
once with MOBULA_RUNTIME_ENV_ONLY set, as a worker that only does the first part and says how it went: so the node knows when tasks may be
scheduled, or why they never can. The workers become those of the environment when they begin (`worker`).
"""

from mobula._runtime_env.environment import RuntimeEnv, inherited, shown
from mobula._runtime_env.fields import RuntimeEnvConfig, check_job, check_task
from mobula._runtime_env.send import VARIABLE, encode, fill, merge, resolve
from mobula._runtime_env.worker import enter, run_hook

__all__ = [
    "VARIABLE",
    "RuntimeEnv",
    "RuntimeEnvConfig",
    "check_job",
    "check_task",
    "encode",
    "enter",
    "fill",
    "inherited",
    "merge",
    "resolve",
    "run_hook",
    "shown",
]
