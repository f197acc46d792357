"""EvoTorch: evolutionary searches whose populations are evaluated by actors."""
# requires: torch numpy pandas matplotlib packaging gymnasium cma
# requires without dependencies: evotorch
# big

import torch
from evotorch import Problem
from evotorch.algorithms import CEM, PGPE, SNES
from evotorch.decorators import vectorized
from evotorch.logging import PandasLogger
from evotorch.neuroevolution import GymNE


def sphere(x):
    return torch.sum(x**2)


@vectorized
def rastrigin(x):
    return 10 * x.shape[1] + torch.sum(x**2 - 10 * torch.cos(2 * torch.pi * x), dim=1)


problem = Problem("min", sphere, solution_length=10, initial_bounds=(-1, 1), num_actors=2)
search = SNES(problem, popsize=20, stdev_init=1.0)
log = PandasLogger(search)
search.run(20)
assert search.status["best_eval"] < 1.0 and len(log.to_dataframe()) == 20
problem.kill_actors()

search = CEM(Problem("min", rastrigin, solution_length=5, initial_bounds=(-5, 5), num_actors=2), popsize=50, parenthood_ratio=0.5, stdev_init=1.0)
search.run(10)
assert search.status["best_eval"] < 80

cart = GymNE("CartPole-v1", "Linear(obs_length, act_length)", num_actors=2, observation_normalization=True)
search = PGPE(cart, popsize=16, center_learning_rate=0.5, stdev_learning_rate=0.1, stdev_init=0.3)
search.run(3)
assert search.status["mean_eval"] > 9
print("OK")
