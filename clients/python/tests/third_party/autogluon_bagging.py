"""AutoGluon: the folds of a bagged model, fitted by tasks."""
# requires: autogluon.tabular lightgbm

import os
import tempfile

os.environ["AG_LOOSE_RAY_VERSION"] = "True"  # it wants Ray below 2.59; this is the API of 2.60
import ray
from autogluon.tabular import TabularPredictor
from ray.util.state import list_tasks
from sklearn.datasets import load_breast_cancer

ray.init(num_cpus=4)
table, table["label"] = load_breast_cancer(return_X_y=True, as_frame=True)
predictor = TabularPredictor("label", path=tempfile.mkdtemp(), verbosity=1).fit(
    table,
    hyperparameters={"GBM": {"num_boost_round": 50}},
    num_bag_folds=4,
    num_stack_levels=0,
    num_cpus=4,
    ag_args_ensemble={"fold_fitting_strategy": "parallel_local"},
    fit_weighted_ensemble=False,
)
board = predictor.leaderboard(silent=True)
assert board.model.tolist() == ["LightGBM_BAG_L1"] and board.score_val[0] > 0.9
assert len(list_tasks()) >= 4
print("OK")
