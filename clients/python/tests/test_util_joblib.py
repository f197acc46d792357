"""joblib, and scikit-learn on it, run on a cluster."""

from __future__ import annotations

import os
import warnings
from typing import Any

import pytest

joblib = pytest.importorskip("joblib")

from mobula.util.joblib import register_mobula, register_ray  # noqa: E402

pytestmark = pytest.mark.usefixtures("node")


@pytest.fixture(autouse=True)
def _registered(node: None) -> None:
    register_mobula()


def square(x: int) -> int:
    return x * x


def pid_of(_: int) -> int:
    import time

    time.sleep(0.1)
    return os.getpid()


def fail(x: int) -> int:
    if x == 3:
        raise ValueError(f"no {x}")
    return x


@pytest.mark.parametrize("name", ["mobula", "ray"])
def test_calls_run_in_the_processes_of_the_cluster(name: str) -> None:
    with joblib.parallel_backend(name, n_jobs=2):
        assert joblib.Parallel()(joblib.delayed(square)(i) for i in range(50)) == [i * i for i in range(50)]
        pids = set(joblib.Parallel()(joblib.delayed(pid_of)(i) for i in range(8)))
    assert os.getpid() not in pids
    assert len(pids) == 2


def test_the_newer_way_to_choose_a_backend_works_too() -> None:
    with joblib.parallel_config(backend="mobula", n_jobs=2):
        assert joblib.Parallel()(joblib.delayed(square)(i) for i in range(5)) == [0, 1, 4, 9, 16]


def test_all_cpus_are_used_by_default() -> None:
    with joblib.parallel_backend("mobula"):
        assert joblib.effective_n_jobs(-1) == 4
        assert joblib.Parallel(n_jobs=-1)(joblib.delayed(square)(i) for i in range(9)) == [i * i for i in range(9)]


def test_errors_reach_the_caller_and_the_next_call_works() -> None:
    with joblib.parallel_backend("mobula", n_jobs=2):
        with pytest.raises(ValueError, match="no 3"):
            joblib.Parallel()(joblib.delayed(fail)(i) for i in range(6))
        assert joblib.Parallel()(joblib.delayed(square)(i) for i in range(3)) == [0, 1, 4]


def test_results_can_be_taken_as_they_come() -> None:
    with joblib.parallel_backend("mobula", n_jobs=2):
        results = joblib.Parallel(return_as="generator")(joblib.delayed(square)(i) for i in range(20))
        assert list(results) == [i * i for i in range(20)]


def test_options_of_the_actors_can_be_given() -> None:
    register_ray()
    with joblib.parallel_backend("ray", n_jobs=2, ray_remote_args={"num_cpus": 0, "resources": {"token": 0.5}}):
        assert joblib.Parallel()(joblib.delayed(square)(i) for i in range(5)) == [0, 1, 4, 9, 16]


def test_scikit_learn_searches_on_it() -> None:
    pytest.importorskip("sklearn")
    import numpy as np
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, cross_val_score

    x, y = make_classification(n_samples=200, n_features=8, random_state=0)

    def search() -> Any:
        return GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0, 10.0]}, cv=3).fit(x, y)

    alone = search()
    with warnings.catch_warnings(), joblib.parallel_backend("mobula", n_jobs=2):
        spread = search()
        forest = RandomForestClassifier(n_estimators=8, random_state=0).fit(x, y)
        scores = cross_val_score(LogisticRegression(), x, y, cv=4)
    assert spread.best_params_ == alone.best_params_
    np.testing.assert_allclose(spread.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    assert forest.score(x, y) > 0.9
    assert len(scores) == 4
