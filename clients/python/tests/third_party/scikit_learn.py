"""scikit-learn's searches and ensembles by joblib's backend "ray"."""
# requires: scikit-learn joblib

import joblib
import ray
from ray.util.joblib import register_ray
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.svm import SVC

ray.init(num_cpus=4)
register_ray()
X, y = load_digits(return_X_y=True)
X, y = X[:600], y[:600]
grid = {"C": [0.1, 1, 10], "gamma": [1e-3, 1e-4]}
expected = GridSearchCV(SVC(), grid, cv=3).fit(X, y)
with joblib.parallel_backend("ray"):
    search = GridSearchCV(SVC(), grid, cv=3).fit(X, y)
    scores = cross_val_score(RandomForestClassifier(20, random_state=0), X, y, cv=4)
    forest = RandomForestClassifier(20, n_jobs=-1, random_state=0).fit(X, y)
assert search.best_params_ == expected.best_params_ and search.best_score_ == expected.best_score_
assert len(scores) == 4 and scores.mean() > 0.8 and forest.score(X, y) > 0.95
print("OK")
