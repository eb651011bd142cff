"""MLflow, a view of what runs and what has run: no stage reads from it; all of it can be made again from ``out``.

``mlflow`` knows the framework, ``live`` follows a row, ``board`` keeps the leaderboard and rebuilds everything.
"""
