"""pymoo: the evaluations of a genetic algorithm as tasks."""
# requires: pymoo

import ray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import ElementwiseProblem
from pymoo.optimize import minimize
from pymoo.parallelization.ray import RayParallelization
from ray.util.state import list_tasks


class Problem(ElementwiseProblem):
    def __init__(self, **options):
        super().__init__(n_var=3, n_obj=2, xl=-2, xu=2, **options)

    def _evaluate(self, x, out, *args, **kwargs):
        out["F"] = [(x**2).sum(), ((x - 1) ** 2).sum()]


ray.init(num_cpus=4)
parallel = minimize(Problem(elementwise_runner=RayParallelization()), NSGA2(pop_size=20), ("n_gen", 5), seed=1)
serial = minimize(Problem(), NSGA2(pop_size=20), ("n_gen", 5), seed=1)
assert (parallel.F == serial.F).all()
assert list_tasks()
print("OK")
