"""Flower: federated learning simulated by actors; eight clients fit a line together."""
# requires: flwr

import numpy as np
from flwr.client import ClientApp, NumPyClient
from flwr.common import Context, ndarrays_to_parameters
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.simulation import run_simulation

WEIGHTS = np.array([1.5, -2.0, 0.5])
CLIENTS = 8
losses = []


class Client(NumPyClient):
    def __init__(self, number):
        rng = np.random.default_rng(number)
        self.x = rng.normal(size=(200, 3))
        self.y = self.x @ WEIGHTS + rng.normal(scale=0.01, size=200)

    def fit(self, parameters, config):
        w = parameters[0].copy()
        for _ in range(5):
            w -= 0.2 * self.x.T @ (self.x @ w - self.y) / len(self.y)
        return [w], len(self.y), {}

    def evaluate(self, parameters, config):
        return float(np.mean((self.x @ parameters[0] - self.y) ** 2)), len(self.y), {}


class Strategy(FedAvg):
    def aggregate_evaluate(self, server_round, results, failures):
        assert not failures, failures
        loss, metrics = super().aggregate_evaluate(server_round, results, failures)
        losses.append(loss)
        return loss, metrics


def client(context: Context):
    return Client(context.node_config["partition-id"]).to_client()


def server(context: Context):
    strategy = Strategy(initial_parameters=ndarrays_to_parameters([np.zeros(3)]), min_available_clients=CLIENTS)
    return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=3))


run_simulation(
    server_app=ServerApp(server_fn=server),
    client_app=ClientApp(client_fn=client),
    num_supernodes=CLIENTS,
    backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}, "init_args": {"num_cpus": 4}},
)
assert len(losses) == 3 and losses[2] < 0.1 < losses[0], losses
print("OK")
